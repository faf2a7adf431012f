"""Everything that is to be said of a text: one mistake does not hide those that have nothing to do with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial

from losslang.diagnostics import Diagnostic, LosslangError, Problems
from losslang.sema import wellformed
from losslang.sema.elaborate import Program, elaborated, of_definition, of_expression, program, value_of
from losslang.sema.lint import lint, lint_definition
from losslang.sema.modules import Environment, Item, environment
from losslang.sema.resolve import list_axes, open_axes, sort_of
from losslang.sema.unit import Unit
from losslang.syntax import ast, parser


def review(unit: Unit, name: str | None = None, allow: Collection[str] = ()) -> list[Diagnostic]:
    """Errors and warnings of an objective, or of all definitions of a file, each once and in their order."""
    found = Review(allow)
    if unit.tree is not None and not isinstance(unit.tree, ast.Module):
        found.problems.attempt(partial(found.objective, of_expression(unit.tree, unit)))
    elif unit.tree is None and not parser.is_module(unit.source):
        found.expression(unit)
    elif name is not None:
        found.problems.attempt(lambda: found.objective(program(unit, name)))
    else:
        found.module(unit)
    diagnostics = [*found.problems.together().diagnostics, *found.warnings]
    return sorted(diagnostics, key=partial(_place, name=unit.source.name))


def _place(diagnostic: Diagnostic, name: str) -> tuple[bool, int]:
    """In the order of the text; what lies in other files comes after it."""
    place = None if diagnostic.span is None else diagnostic.span.place
    return place is None or place.source.name != name, place.start if place is not None else 0


@dataclass
class Review:
    """Collects what there is to say."""

    allow: Collection[str]
    problems: Problems = field(default_factory=Problems)
    warnings: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def objective(self, text: Program) -> None:
        """An objective that parses; there are warnings where there are no errors.

        Raises:
            LosslangError: what is wrong with it.
        """
        self.warnings += lint(text, elaborated(text), self.allow)

    def expression(self, unit: Unit) -> None:
        """An objective of one expression; where terms do not parse, the others are checked without them."""
        try:
            expression = parser.parse_expression(unit.source)
        except LosslangError as failure:
            self.problems.errors.append(failure)
            rest = parser.sound_terms(unit.source)
            if rest is not None:
                self.problems.attempt(partial(_only_terms, of_expression(rest, Unit(unit.source))))
            return
        self.problems.attempt(partial(self.objective, of_expression(expression, unit)))

    def module(self, unit: Unit) -> None:
        """The definitions of a file that parse and need none that do not."""
        module, broken = _parsed(unit, self.problems)
        faults = wellformed.faults(module)
        self.problems.errors.append(LosslangError([one for found in faults.values() for one in found]))
        known = self.problems.attempt(lambda: environment(module, unit.search))
        if known is None:
            return
        items = [item for item in module.items if not isinstance(item, ast.Use)]
        lost = _needing(broken | faults.keys(), items)
        for item in items:
            if item.name not in lost:
                self.problems.attempt(partial(self._item, item, known, unit))

    def _item(self, item: Item, known: Environment, unit: Unit) -> None:
        if isinstance(item, ast.Definition) and item.keyword == "objective":
            self.objective(of_definition(item, known, unit))
            return
        if _stands_alone(item):
            value_of(_call(item), known)
        if isinstance(item, ast.Definition):
            self.warnings += lint_definition(item, self.allow)


def _only_terms(text: Program) -> None:
    """What is wrong with terms of a text that is not whole: what the whole lacks is not known."""
    try:
        elaborated(text)
    except LosslangError as failure:
        raise LosslangError([one for one in failure.diagnostics if one.code != "LL0401"]) from None


def _parsed(unit: Unit, problems: Problems) -> tuple[ast.Module, set[str]]:
    """The definitions of a file that parse, and the names of the others."""
    if isinstance(unit.tree, ast.Module):
        return unit.tree, set()
    try:
        return parser.parse_module(unit.source), set()
    except LosslangError as failure:
        problems.errors.append(failure)
        return parser.sound_part(unit.source)


def _needing(names: Iterable[str], items: Iterable[Item]) -> set[str]:
    """The names, and those of the definitions that need one of them."""
    lost = set(names)
    needs = {item.name: wellformed.needs(item) for item in items}
    while more := {name for name, needed in needs.items() if name not in lost and needed & lost}:
        lost |= more
    return lost


SOME = 4096
"""An extent of a queue or table that is enough for what a definition picks from it."""

FEW = 2
"""A length of a list."""


def _call(item: Item) -> ast.Expression:
    """A definition used with tensors alone; where the extent of a queue or table is the call's to give, some extent."""
    name = ast.Name(item.name, span=item.span)
    sizes = dict.fromkeys(open_axes(item), SOME) if isinstance(item, ast.Definition) else {}
    sizes |= dict.fromkeys(list_axes(item), FEW) if isinstance(item, ast.Definition) else {}
    given = tuple(ast.Argument(ast.Number(n, span=item.span), axis, span=item.span) for axis, n in sizes.items())
    return ast.Call(name, given, span=item.span) if given else name


def _stands_alone(item: Item) -> bool:
    """Whether a definition can be called with tensors alone: every other parameter has a default."""
    if isinstance(item, ast.Alias):
        return True
    needed = [parameter for parameter in item.parameters if parameter.default is None]
    return item.keyword in ("loss", "fn") and all(sort_of(p) == "tensor" and p.type is not None for p in needed)
