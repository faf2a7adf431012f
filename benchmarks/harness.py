"""Side-by-side timing: the contestants take turns, so that a machine that drifts drifts for all of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Fresh pages cost more than the losses themselves; kept pages are the same favour to every contestant.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 32))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 33))

import torch
from torch import Tensor

Step = Callable[[], "tuple[Tensor, Sequence[Tensor]]"]
"""One forward and backward: the total, and the gradients."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one contestant."""

    best: float
    median: float


def race(contestants: Mapping[str, Step], rounds: int = 20, warmup: int = 3) -> dict[str, Timing]:
    """Time every contestant, in turns.

    Args:
        contestants: name -> one step.
        rounds: counted steps of each.
        warmup: steps before them, in which compilers do their work.
    """
    for step in contestants.values():
        for _ in range(warmup):
            step()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, step in contestants.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    return {name: Timing(min(t), statistics.median(t)) for name, t in times.items()}


def agree(contestants: Mapping[str, Step], rtol: float) -> None:
    """Stop unless all contestants compute the same total and gradients."""
    results = {name: step() for name, step in contestants.items()}
    (first, (total, grads)), *others = results.items()
    for name, (other, other_grads) in others:
        off = abs(float(other) / float(total) - 1)
        assert off < rtol, f"{name} vs {first}: totals differ by {off:.1e}"
        for a, b in zip(other_grads, grads, strict=True):
            off = float((a - b).abs().max() / b.abs().max())
            assert off < 100 * rtol, f"{name} vs {first}: gradients differ by {off:.1e} of the largest"


def report(title: str, timings: Mapping[str, Timing], base: Sequence[str]) -> None:
    """Print times and the ratios to each of the bases."""
    print(f"\n{title}")
    width = max(map(len, timings))
    head = "".join(f"{'/ ' + name:>26}" for name in base)
    print(f"  {'':<{width}}  {'best ms':>9} {'median ms':>10}{head}")
    for name, t in timings.items():
        ratios = "".join(f"{t.median / timings[other].median:>26.2f}" for other in base)
        print(f"  {name:<{width}}  {t.best * 1e3:>9.2f} {t.median * 1e3:>10.2f}{ratios}")


def where() -> str:
    """The machine, as far as it matters."""
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    return f"torch {torch.__version__}, {threads} thread{plural}, {torch.backends.cpu.get_cpu_capability()}"
