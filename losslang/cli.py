"""The command line: ``losslang check | compile | explain | list | fmt | hash | diff | run``.

Exit codes: 0 if all is well, 1 if there are errors (with ``check --strict``, also for warnings), 2 for a wrong call or
a file that cannot be read. Those of ``diff``: 0 if the objectives are the same, 1 if they differ, 2 for trouble.
"""

from __future__ import annotations

import argparse
import difflib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import losslang
from losslang import compiler
from losslang.compiler import Unit
from losslang.diagnostics import Diagnostic, Form, LosslangError, LosslangWarning, mended, render
from losslang.source import Source, decoded

if TYPE_CHECKING:
    from losslang.runtime.module import Objective, Output


class UsageError(Exception):
    """A wrong call: the text goes to standard error, the exit code is 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except UsageError as problem:
        print(f"losslang: {problem}", file=sys.stderr)
        return 2
    except LosslangError as problem:
        _complain(problem.diagnostics)
        return 1
    except RecursionError:
        _complain([Diagnostic("LL0103", "the text nests too deeply")])
        return 1
    except ModuleNotFoundError as problem:
        if problem.name != "torch":
            raise
        print(
            "losslang: this needs torch, which is not installed; check, explain, list and fmt do not", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes standard output once more at its end: let it flush into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _complain(found: Sequence[Diagnostic]) -> None:
    print(render(found, colour=_coloured(sys.stderr)), file=sys.stderr)


def _warn(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning: one of losslang's as errors are shown."""
    if isinstance(message, LosslangWarning):
        _complain([message.diagnostic])
    else:
        print(f"{category.__name__}: {message}", file=sys.stderr)


def _coloured(stream: TextIO) -> bool:
    """Colours are for people at a terminal who did not say no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _run(argv: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a text may hold what the terminal cannot show
    try:
        options = _parser().parse_args(_joined(argv))
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 2
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        code = options.command(options)
    sys.stdout.flush()
    return code


def _joined(argv: list[str]) -> list[str]:
    """``-e X`` as one word, so that X may begin with a minus sign."""
    words = iter(argv)
    return [f"--expression={next(words, '')}" if word in ("-e", "--expression") else word for word in words]


# ------------------------------------------------------------------------------------------ arguments
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("losslang", description="A declarative language for training objectives.")
    parser.add_argument("--version", action="version", version=f"losslang {losslang.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="report every error, without importing torch")
    _takes_text(check, several=True)
    check.add_argument("--format", choices=("text", "json", "github"), default="text", help="form of the diagnostics")
    check.add_argument("--allow", action="append", default=[], metavar="CODE", help="a warning that is meant: LL0808")
    check.add_argument("--strict", action="store_true", help="let warnings fail as errors do")
    check.add_argument("--fix", action="store_true", help="mend what is certain, and report the rest")
    check.add_argument("--diff", action="store_true", help="show what --fix would change, and change nothing")
    check.set_defaults(command=_check)

    build = commands.add_parser("compile", help="print what the compiler made, or write a standalone file")
    _takes_text(build)
    build.add_argument("--emit", choices=("ast", "ir", "fx", "python", "latex", "json"), help="what to print (ir)")
    build.add_argument("--after", metavar="PASS", help="the IR after this pass")
    build.add_argument("--dims", type=_dims, action="append", default=[], metavar="INPUT=N", help="fix its dimensions")
    build.add_argument("-o", "--output", type=Path, metavar="DIR", help="write objective.py and objective.json there")
    build.set_defaults(command=_compile)

    explain = commands.add_parser("explain", help="explain a loss, an error code or an objective")
    _takes_text(explain, metavar="NAME|FILE")
    explain.set_defaults(command=_explain)

    listing = commands.add_parser("list", help="the library, with signatures")
    listing.add_argument("--family", help="one family only")
    listing.add_argument("--format", choices=("text", "json"), default="text")
    listing.set_defaults(command=_list)

    fmt = commands.add_parser("fmt", help="format .loss files")
    fmt.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files, folders of .loss files, or -")
    fmt.add_argument("-e", "--expression", metavar="EXPR", help="print an expression in the one layout")
    fmt.add_argument("--check", action="store_true", help="change nothing; exit code 1 if a file would change")
    fmt.add_argument("--diff", action="store_true", help="show what would change, and change nothing")
    fmt.set_defaults(command=_fmt)

    hashing = commands.add_parser("hash", help="a hash of what an objective means, whatever its words")
    _takes_text(hashing, several=True)
    hashing.set_defaults(command=_hash)

    diff = commands.add_parser("diff", help="whether two objectives are the same, and what differs")
    _takes_text(diff, several=True, twice=True)
    diff.add_argument("--format", choices=("text", "json"), default="text")
    diff.set_defaults(command=_diff)

    run = commands.add_parser("run", help="call an objective on a batch and print its terms")
    _takes_text(run)
    run.add_argument("--input", type=Path, metavar="BATCH", help="an .npz or .pt file; else a batch is made up")
    run.add_argument("--seed", type=int, default=0, help="of the batch that is made up")
    run.add_argument("--backend", choices=("eager", "inductor"), default="eager")
    run.add_argument("--check-finite", action="store_true", help="name what is not finite")
    run.set_defaults(command=_call)
    return parser


def _takes_text(
    parser: argparse.ArgumentParser, *, several: bool = False, twice: bool = False, metavar: str = "FILE"
) -> None:
    """``several`` files, each by itself; ``twice``: two texts, for each of which a name may be given."""
    action = "append" if twice else "store"
    default: list[str] | None = [] if twice else None
    parser.add_argument("files", nargs="*" if several else "?", metavar=metavar, help="a .loss file, a config, or -")
    parser.add_argument(
        "-e", "--expression", action=action, default=default, metavar="EXPR", help="an objective instead of a file"
    )
    parser.add_argument("--name", action=action, default=default, help="which objective, where a file holds several")
    parser.add_argument("--path", type=Path, action="append", default=[], metavar="DIR", help="a folder of modules")
    parser.add_argument("--const", action="append", default=[], metavar="NAME=VALUE", help="what a name stands for")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="as in terms.focal.gamma=3")


def _dims(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form logits=2")
    return name, int(number)


# ------------------------------------------------------------------------------------------ texts
SUFFIXES = (".loss", ".yaml", ".yml", ".toml", ".json")
"""Of files that hold an objective."""


def _one(options: argparse.Namespace) -> Unit:
    """The one text that a command is given."""
    if options.expression is not None:
        if options.files:
            raise UsageError("give a file or -e EXPR, not both")
        return _with_settings(Unit(Source("<expression>", options.expression)), options)
    if not options.files:
        raise UsageError("give a file, or an expression with -e")
    return _load(options.files, options)


def _load(name: str, options: argparse.Namespace) -> Unit:
    """The text of a file; ``-`` is standard input, a config holds it under ``objective``."""
    if name == "-":
        return _with_settings(Unit(Source("<stdin>", _stdin())), options)
    path = Path(name)
    if not path.exists() and path.suffix not in SUFFIXES:
        raise UsageError(f"there is no file '{name}'; an expression goes behind -e")
    return _loaded(Source(name, _read(path)), options)


def _loaded(file: Source, options: argparse.Namespace) -> Unit:
    """The objective's text in that of a file."""
    return _with_settings(compiler.loaded(file, Path(file.name)), options)


def _with_settings(unit: Unit, options: argparse.Namespace) -> Unit:
    """The text with the folders, constants and overrides of the command line."""
    return compiler.extended(unit, options.path, options.const, options.set)


def _stdin() -> str:
    return _decoded(sys.stdin.buffer.read(), "standard input")


def _read(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), str(path))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{path}: {getattr(problem, 'strerror', None) or problem}") from None


def _decoded(data: bytes, name: str) -> str:
    try:
        return decoded(data)
    except UnicodeDecodeError as problem:
        raise UsageError(f"{name} is no text in UTF-8 (byte {problem.start})") from None


# ------------------------------------------------------------------------------------------ check
def _check(options: argparse.Namespace) -> int:
    files: list[str] = options.files if options.expression is None else [""]
    if not files or (options.files and options.expression is not None):
        raise UsageError("give files, or an expression with -e")
    if options.expression is not None and (options.fix or options.diff):
        raise UsageError("--fix changes files; an expression is yours to change")
    found: list[Diagnostic] = []
    for name in files:
        if options.fix or options.diff:
            _mend(name, options)
        load = partial(_load, name, options) if options.expression is None else partial(_one, options)
        found += _diagnosed(load, options)
    _report(found, options.format)
    return 1 if any(options.strict or one.severity == "error" for one in found) else 0


def _diagnosed(load: Callable[[], Unit], options: argparse.Namespace) -> list[Diagnostic]:
    """All that is to be said of a text."""
    try:
        return compiler.diagnose(load(), name=options.name, allow=options.allow)
    except LosslangError as problem:
        return list(problem.diagnostics)


def _report(found: list[Diagnostic], form: Form) -> None:
    text = render(found, form, colour=_coloured(sys.stdout))
    if form == "text":
        counts = [(sum(one.severity == word for one in found), word) for word in ("error", "warning")]
        said = ", ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in counts if count)
        text = f"{text}\n\n{said}" if found else "ok"
    if text:
        print(text)


ROUNDS = 20
"""A fix can bring another error to light; after this many rounds the rest is for a reader."""


def _mend(name: str, options: argparse.Namespace) -> None:
    """Apply the fixes that are certain to a file, or show what they would change."""
    raw = Path(name).read_bytes() if Path(name).is_file() else b""
    first = text = _decoded(raw, name) if raw else ""
    for _ in range(ROUNDS):
        file = Source(name, text)
        found = _diagnosed(partial(_loaded, file, options), options)
        here = [one for one in found if one.fix and all(edit.span.place.source.name == name for edit in one.fix)]
        if not here:
            break
        text = mended(text, here)
    if text == first:
        return
    if options.diff:
        print("".join(difflib.unified_diff(first.splitlines(True), text.splitlines(True), name, f"{name} (mended)")))
    else:
        _write(Path(name), text, "\r\n" if b"\r\n" in raw else "\n")


# ------------------------------------------------------------------------------------------ compile
def _compile(options: argparse.Namespace) -> int:
    if options.after is not None and options.emit not in (None, "ir"):
        raise UsageError("--after shows the IR: leave --emit out")
    unit = _one(options)
    if options.output is None:
        print(_emitted(unit, options), end="")
        return 0
    objective = _objective(unit, options)
    try:
        path = compiler.export(objective, options.output, dims=dict(options.dims))
    except OSError as problem:
        raise UsageError(f"{options.output}: {problem.strerror or problem}") from None
    print(f"{path}\n{path.with_suffix('.json')}")
    return 0


def _emitted(unit: Unit, options: argparse.Namespace) -> str:
    name, dims = options.name, dict(options.dims)
    match options.emit:
        case "ast":
            return compiler.tree_text(unit)
        case "latex":
            return compiler.latex_text(unit)
        case "fx":
            return compiler.fx_text(unit, name=name, dims=dims)
        case "python":
            return compiler.artifact(_objective(unit, options), dims=dims).python()
        case "json":
            return compiler.artifact(_objective(unit, options), dims=dims).json()
        case _:
            return compiler.ir_text(unit, name=name, after=options.after)


def _objective(unit: Unit, options: argparse.Namespace) -> Objective:
    return compiler.compile(unit, name=options.name, backend="eager")


# ------------------------------------------------------------------------------------------ explain, list
def _explain(options: argparse.Namespace) -> int:
    name = options.files
    if options.expression is None and name and not _is_file(name):
        print(compiler.explain(name), end="")
        return 0
    unit = _one(options)
    print(compiler.explain_objective(unit, name=options.name), end="")
    return 0


def _is_file(name: str) -> bool:
    return name == "-" or Path(name).suffix in SUFFIXES or (os.sep in name and Path(name).exists())


def _list(options: argparse.Namespace) -> int:
    found = compiler.catalog(options.family)
    if options.format == "json":
        print(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
        return 0
    family = ""
    for one in found:
        if one.family != family:
            print(("\n" if family else "") + one.family)
            family = one.family
        keyword = "" if one.keyword in ("loss", "network") else f"{one.keyword} "
        print(f"  {keyword}{one.signature}\n      {one.summary}".rstrip())
    return 0


# ------------------------------------------------------------------------------------------ fmt
def _fmt(options: argparse.Namespace) -> int:
    if options.expression is not None:
        print(compiler.format(Source("<expression>", options.expression)), end="")
        return 0
    if not options.paths:
        raise UsageError("give files or folders, or an expression with -e")
    changed, wrong = 0, list[Diagnostic]()
    for path in _loss_files(options.paths):
        name = "<stdin>" if path is None else str(path)
        old = _stdin() if path is None else _read(path)
        try:
            new = compiler.format(Source(name, old))
        except LosslangError as problem:
            wrong += problem.diagnostics
            continue
        changed += new != old
        _formatted(path, name, (old, new), options)
    if wrong:
        _complain(wrong)
    return 1 if wrong or (changed and options.check) else 0


def _formatted(path: Path | None, name: str, texts: tuple[str, str], options: argparse.Namespace) -> None:
    """Write a formatted text, or say what would change."""
    old, new = texts
    if options.diff and new != old:
        lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, f"{name} (formatted)")
        print("".join(line if line.endswith("\n") else f"{line}\n" for line in lines), end="")
    elif path is None and not options.check and not options.diff:
        print(new, end="")
    elif new != old:
        print(f"{'would change' if options.check else 'formatted'} {name}")
    if path is not None and new != old and not options.check and not options.diff:
        _write(path, new)


def _loss_files(paths: Sequence[Path]) -> Iterator[Path | None]:
    """The files to format; None is standard input."""
    for path in paths:
        if path.suffix in SUFFIXES and path.suffix != ".loss":
            raise UsageError(f"{path} is a config; fmt formats .loss files, and expressions with -e")
        if path.is_dir():
            yield from sorted(path.rglob("*.loss"))
        else:
            yield None if str(path) == "-" else path


def _write(path: Path, text: str, newline: str = "\n") -> None:
    try:
        path.write_text(text, encoding="utf-8", newline=newline)
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror or problem}") from None


# ------------------------------------------------------------------------------------------ hash, diff
def _hash(options: argparse.Namespace) -> int:
    files: list[str] = options.files if options.expression is None else [""]
    if not files or (options.files and options.expression is not None):
        raise UsageError("give files, or an expression with -e")
    for file in files:
        unit = _load(file, options) if options.expression is None else _one(options)
        found = compiler.objectives(unit)
        several = options.name is None and len(found) > 1
        for name in found if several else [options.name]:
            label = f"{unit.source.name}:{name}" if several else unit.source.name
            print(f"{compiler.content_hash(unit, name=name)}  {label}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    expressions = [Unit(Source(f"<expression {n + 1}>", text)) for n, text in enumerate(options.expression)]
    if len(options.files) + len(expressions) != 2 or len(options.name) > 2:
        raise UsageError("give two texts: files, or expressions each behind -e")
    names: list[str | None] = [*options.name, *options.name][:2] or [None, None]
    try:
        files = [_load(file, options) for file in options.files]
        first, second = [*files, *(_with_settings(unit, options) for unit in expressions)]
        found = compiler.diff(first, second, names=(names[0], names[1]))
    except LosslangError as problem:
        _complain(problem.diagnostics)
        return 2
    print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if options.format == "json" else found)
    return 0 if found.same else 1


# ------------------------------------------------------------------------------------------ run
def _call(options: argparse.Namespace) -> int:
    from losslang import batches

    unit = _one(options)
    objective = compiler.compile(
        unit,
        name=options.name,
        backend=options.backend,
        check_finite=options.check_finite,
    )
    try:
        batch = batches.read(options.input) if options.input else batches.made_up(objective, options.seed)
    except batches.BatchError as problem:
        raise UsageError(str(problem)) from None
    wanted = {spec.key(objective.bind) for spec in objective.signature}
    leaves = {n: x.detach().requires_grad_() for n, x in batch.items() if n in wanted and x.is_floating_point()}
    out = objective({**batch, **leaves})
    out.total.sum().backward()
    print("\n".join(_lines(objective, out, leaves)))
    return 0


def _lines(objective: Objective, out: Output, leaves: dict[str, Any]) -> Iterator[str]:
    yield str(out)
    norms = {name: x.grad for name, x in leaves.items()}
    norms |= {key: parameter.grad for key, parameter in objective.named_parameters()}
    yield "gradient norms"
    width = max(map(len, norms), default=0)
    for name, gradient in norms.items():
        yield f"  {name:<{width}}  {0.0 if gradient is None else gradient.norm().item():.6g}"


if __name__ == "__main__":
    raise SystemExit(main())
