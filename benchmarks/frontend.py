"""The front end: how long `losslang check` takes, cold and warm, and how that grows with the terms.

    python -m benchmarks.frontend [--rounds 10]

(a) an objective file of 30 lines in a fresh process, beside `python -c pass` and `python -c "import torch"`;
(b) the same file in a process that has checked something before; (c) objectives of 10 to 10,000 terms, each
beside the same number of terms parsed only. Torch is imported by none of them but the one that says so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from losslang import compiler
from losslang.source import Source
from losslang.syntax import parser

OBJECTIVE = """\
## A file as users write them: losses of its own, declared inputs, named terms.
use image
use classification

loss weighted_gap(pred, target: real[b, ...], low: real = 0, high: real > 0 = 1) -> [b, ...]:
    inside = pred >= low and pred <= high
    gap = abs(pred - target)
    gap if inside else 2*gap

fn closeness(a, b: embed[i, d]) -> [i]:
    cosine(a, b)

loss pull(z1, z2: embed[i, d], margin: real >= 0 = 0.1) -> [i]:
    relu(1 - margin - closeness(z1, z2))

objective restore(pred, target: image[b, c=3, h, w] in 0..1, logits: logit[b, k], labels: label[b] < k,
                  z1, z2: embed[i, d]):
    pixel = l1(pred, target)
    smooth = charbonnier(pred, target)
    edges = tv(pred)
    structure = 1 - ssim(pred, target)
    clipped = weighted_gap(pred, target)
    classes = focal(logits, labels, gamma=2)
    soft = ce(logits, labels, smoothing=0.1)
    together = pull(z1, z2)
    apart = infonce(z1, z2, tau=auto)
    views = nt_xent(z1, z2)
    pixel + 0.5*smooth + 0.001*edges + 0.2*structure + clipped
    + classes + soft + 0.1*(together + apart + views)
    | uncertainty
"""


def seconds(action: Callable[[], object], rounds: int) -> float:
    """The median time of an action."""
    times: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def process(*arguments: str, **variables: str) -> Callable[[], object]:
    """A fresh interpreter that runs something."""
    environment = {**os.environ, **variables}
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def cold(path: Path, rounds: int) -> None:
    """(a)"""
    empty = seconds(process("-c", "pass"), rounds)
    check = seconds(process("-m", "losslang.cli", "check", str(path)), rounds)
    first = seconds(process("-m", "losslang.cli", "check", str(path), LOSSLANG_CACHE="/dev/null/nowhere"), rounds)
    torch = seconds(process("-c", "import torch"), min(rounds, 3))
    print(f"\n(a) {len(OBJECTIVE.splitlines())} lines, a fresh process")
    print(f"  python -c pass          {empty * 1e3:8.0f} ms")
    print(f"  the first check ever    {first * 1e3:8.0f} ms   (it makes the parser's tables and keeps them)")
    print(f"  losslang check          {check * 1e3:8.0f} ms   {check / torch:.2f} of importing torch")
    print(f'  python -c "import torch"{torch * 1e3:8.0f} ms')


def warm(path: Path, rounds: int) -> None:
    """(b)"""
    text = path.read_text("utf-8")
    texts = (Source("again.loss", f"{text}# {k}\n") for k in count())
    compiler.diagnose(next(texts))
    found = seconds(lambda: compiler.diagnose(next(texts)), rounds)
    parse = seconds(lambda: parser.parse_module(next(texts)), rounds)
    print("\n(b) the same file, changed, in a process that has checked before")
    print(f"  parse  {parse * 1e3:8.2f} ms")
    print(f"  check  {found * 1e3:8.2f} ms   {found / parse:.1f} times the parser")


def growing(rounds: int) -> None:
    """(c)"""
    print("\n(c) 0.5*l1(a1, b1) + 0.5*l1(a2, b2) + ...")
    print(f"  {'terms':>6} {'parse ms':>9} {'check ms':>9} {'us a term':>10}")
    for terms in (10, 100, 1000, 10_000):
        text = " + ".join(f"0.5*l1(a{k}, b{k})" for k in range(terms))
        times = 1 if terms == 10_000 else rounds
        parse = seconds(lambda text=text: parser.parse_expression(Source("<terms>", text)), times)
        check = seconds(lambda text=text: compiler.diagnose(Source("<terms>", text)), times)
        print(f"  {terms:>6} {parse * 1e3:>9.1f} {check * 1e3:>9.1f} {check / terms * 1e6:>10.0f}")


def main() -> None:
    """Run all three."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=10)
    rounds = options.parse_args().rounds
    print(f"Python {sys.version.split()[0]}; torch imported here: {'torch' in sys.modules}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "restore.loss")
        path.write_text(OBJECTIVE, "utf-8")
        cold(path, rounds)
        warm(path, rounds)
    growing(rounds)


if __name__ == "__main__":
    main()
