"""Finds the files that ``use`` names, and reads them: the only place where a text leads to a file.

A module lies beside the file that is compiled, or in a folder that the caller declares; whatever leads out of these
folders (``..``, an absolute path, a link) is refused before anything is opened. A text without a place reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.source import Source, decoded
from losslang.syntax import ast

SUFFIX = ".loss"

Texts = Mapping[tuple[str, str], Source]
"""Modules by the name of the source that uses them and what it writes."""


@dataclass(frozen=True)
class Search:
    """The folders in which a text's modules are looked for, the file's own first."""

    file: Path | None = None
    folders: tuple[Path, ...] = ()
    texts: Texts | None = field(default=None, repr=False)
    """What was read before: then no file is read again."""

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that may be read."""
        own = () if self.file is None else (self.file.parent,)
        return tuple(dict.fromkeys((*own, *self.folders)))

    def locate(self, use: ast.Use, beside: Path | None) -> Path | None:
        """The file of a module, or None where there is none; ``beside`` is the folder of the text that uses it.

        Raises:
            LosslangError: LL0702 where it lies outside of the module path, LL0209 where it is no ``.loss`` file.
        """
        if use.is_file:
            _check_place(use)
            starts = self.roots if beside is None else (beside,)
            candidates = [start / use.target for start in starts]
        else:
            candidates = [root.joinpath(*use.path[:-1], use.path[-1] + SUFFIX) for root in self.roots]
        for candidate in candidates:
            if not self._within(candidate):
                raise _outside(use, self.roots)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def _within(self, path: Path) -> bool:
        try:
            return any(path.resolve().is_relative_to(root.resolve()) for root in self.roots)
        except (OSError, RuntimeError):  # links that lead to each other
            return False

    def nearby(self) -> Iterator[str]:
        """The modules that lie in the folders, for suggestions."""
        for root in self.roots:
            yield from sorted(path.stem for path in root.glob("*" + SUFFIX) if path != self.file)


def _check_place(use: ast.Use) -> None:
    if use.target.startswith("/"):
        raise _outside(use, ())
    if not use.target.endswith(SUFFIX):
        raise error(
            "LL0209",
            f"'{use.target}' is no {SUFFIX} file",
            use.span,
            expected=f"a file of definitions, such as ./mine{SUFFIX}",
            found=use.target,
            hint=f"only {SUFFIX} files hold definitions" if Path(use.target).suffix else f"write {use.target}{SUFFIX}",
        )


def _outside(use: ast.Use, roots: tuple[Path, ...]) -> LosslangError:
    return error(
        "LL0702",
        f"'{use.target}' lies outside of the module path",
        use.span,
        expected="a file in " + " or ".join(map(str, roots)) if roots else "a place that begins with ./",
        found=use.target,
        hint="the folder of the file that is compiled may be read, and those that path= or --path declare",
    )


def read(use: ast.Use, path: Path) -> Source:
    """The text of a module.

    Raises:
        LosslangError: LL0209 where it cannot be read.
    """
    try:
        return Source(str(path), decoded(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else f"no UTF-8 at byte {problem.start}"
        raise error(
            "LL0209",
            f"the module '{use.target}' cannot be read: {why}",
            use.span,
            expected="a text in UTF-8",
            found=str(path),
            hint="see who may read the file, and how it was saved",
        ) from None


def unknown(use: ast.Use, families: list[str], search: Search) -> LosslangError:
    """The error for a module that is nowhere."""
    known = [*families, *search.nearby()]
    where = " or ".join(map(str, search.roots))
    hint = did_you_mean(use.target, [f"./{name}{SUFFIX}" for name in search.nearby()] if use.is_file else known)
    if hint is None and len(use.path) > 1 and use.path[-1] == SUFFIX[1:]:
        hint = f"a file is named by its place: use ./{use.target}"
    if hint is None and where:
        hint = f"it is looked for in {where}; path= or --path adds folders"
    return error(
        "LL0209",
        f"there is no module '{use.target}'",
        use.span,
        expected=", ".join([*(f"./{name}{SUFFIX}" for name in search.nearby()), "a family that losslang list shows"]),
        found=use.target,
        hint=hint or "a text alone reads no file: compile a Path, or say with path= where modules lie",
    )
