"""What a definition's decorators claim, checked: each is searched for a counterexample on the float64 oracle.

    for law in laws_of(item, environment):
        check(law)                      # raises LawBroken with the smallest counterexample that was found

What each property means is in `properties`, what it is tried on in `cases`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.sema.modules import LIBRARY_ONLY, Environment, Item, library
from losslang.syntax import ast
from losslang.testing.cases import Pins, axes_of, pins
from losslang.testing.properties import (
    CHANGES,
    MOST_AXES,
    PROPERTIES,
    Law,
    Rule,
    equated,
    transformation,
    word,
    wrong,
)
from losslang.testing.subject import Array, Case, Subject, array_text, evaluate, present_elements, transformed

EXAMPLE_TOLERANCE = 1e-6
"""To how much of itself, or of 1, the value of an ``@example`` is meant."""

FEW = 3
"""How many tries a definition with a network gets."""


class LawBroken(Exception):  # noqa: N818  (what happened, in the reader's words)
    """A definition does not do what one of its decorators says; the text holds a counterexample."""

    def __init__(self, law: Law, problem: str) -> None:
        super().__init__(f"{law.subject.name}: {law.text} does not hold\n  {problem}")
        self.law, self.problem = law, problem


# ------------------------------------------------------------------------------------------ examples
def _example(law: Law) -> str | None:
    """``@example(call, value)``: a call with literal arrays has this value, to 1e-6 of it or of 1."""
    call, expected = law.arguments
    arrays: dict[str, Array] = {}
    alone = law.subject.alone(_with_inputs(call, arrays, law.subject))
    wanted = _literal_array(expected)
    if wanted is None:
        wanted = np.asarray(law.subject.number(expected, Case({}, {})))
    found = present_elements(alone, arrays) if wanted.ndim else evaluate([alone.mean], arrays)[1][0]
    wanted = wanted.astype(np.float64)
    near = EXAMPLE_TOLERANCE * np.maximum(1, np.abs(wanted))
    if found.shape == wanted.shape and np.all(np.abs(found - wanted) <= near):
        return None
    return f"found:    {array_text(found)}\n  expected: {array_text(wanted)}"


def _with_inputs(call: ast.Expression, arrays: dict[str, Array], subject: Subject) -> ast.Expression:
    """The call with a name for each literal array, which is noted under that name."""

    def name(wanted: str, value: Array) -> ast.Name:
        unique, number = subject.input(wanted), 2
        while unique in arrays:
            unique, number = f"{wanted}_{number}", number + 1
        arrays[unique] = value
        return ast.Name(unique)

    def change(node: ast.Node) -> ast.Node | None:
        whole = node.value if isinstance(node, ast.Argument) else node
        value = _literal_array(whole)
        if value is None or not value.ndim:
            return None
        if isinstance(node, ast.Argument):
            own = subject.parameters.get(node.name or "")
            if own is not None and isinstance(own.default, ast.ListOf):
                return node  # numbers that the definition needs when it is compiled: the lengths of windows
            return ast.Argument(name(node.name or "x", value), node.name)
        return name("x", value)

    return transformed(call, change)


def _literal_array(node: ast.Node) -> Array | None:
    """``[[1, 2], [3, 4]]``, ``full(0.5, 2, 2)``, a number or truth value as an array; None for all else."""
    match node:
        case ast.Number(value=value):
            return np.asarray(value)
        case ast.Name(name="true" | "false" as word):
            return np.asarray(word == "true")
        case ast.Unary(op="-"):
            value = _literal_array(node.operand)
            return None if value is None else -value
        case ast.ListOf():
            items = [_literal_array(item) for item in node.items]
            return np.array(items) if items and len({i.shape if i is not None else None for i in items}) == 1 else None
        case ast.Call(callee=ast.Name(name="full")):
            numbers = [a.value.value for a in node.arguments if isinstance(a.value, ast.Number)]
            return np.full([int(n) for n in numbers[1:]], float(numbers[0]))
        case _:
            return None


# ------------------------------------------------------------------------------------------ laws
EXAMPLE, METADATA = "example", ("paper",)

KNOWN = frozenset({*PROPERTIES, EXAMPLE})
"""Every decorator that is checked; what is not in here must not be shown as a property."""


def laws_of(item: Item, environment: Environment) -> list[Law]:
    """What a definition's decorators claim, in their order.

    Raises:
        LosslangError: LL0203 for an unknown decorator, LL0202 and LL0204 for names that the definition does
            not have, LL0207 and LL0208 for too few or too many arguments.
    """
    subject = Subject(item, environment)
    return [_law(d, subject) for d in item.decorators if d.name not in METADATA]


def _law(decorator: ast.Decorator, subject: Subject) -> Law:
    known = sorted({*KNOWN, *METADATA})
    if decorator.name not in known:
        hint = did_you_mean(decorator.name, known)
        message = f"there is no decorator '@{decorator.name}'"
        raise error("LL0203", message, decorator.span, expected="one of " + ", ".join(known), hint=hint)
    rule = PROPERTIES.get(decorator.name, Rule(_nothing, "@example(call(x=[1.0]), 0.5)", 2))
    where = _when(decorator, subject, rule)
    arguments = tuple(a.value for a in decorator.arguments if a.name is None)
    if len(arguments) < rule.arguments or len(arguments) > rule.arguments and not rule.more:
        code = "LL0207" if len(arguments) < rule.arguments else "LL0208"
        message = f"@{decorator.name} takes {rule.arguments or 'no'} arguments"
        raise error(code, message, decorator.span, expected=rule.usage, found=decorator.span.text.strip())
    for argument in arguments[slice(*rule.inputs)]:
        _check_input(argument, subject)
    law = Law(decorator.name, " ".join(decorator.span.text.split()), subject, arguments, where, decorator.span)
    _check_words(law)
    return law


def _nothing(law: Law, draw: st.DrawFn) -> str | None:
    return None


def _when(decorator: ast.Decorator, subject: Subject, rule: Rule) -> Pins:
    where: Pins = ()
    for argument in decorator.arguments:
        if argument.name == "when" and decorator.name != EXAMPLE:
            where = pins(argument.value, subject)
        elif argument.name is not None:
            message = f"@{decorator.name} has no parameter '{argument.name}'"
            raise error("LL0202", message, argument.span, expected=rule.usage)
    return where


def _check_input(argument: ast.Expression, subject: Subject) -> None:
    if word(argument) not in subject.inputs:
        raise error(
            "LL0202",
            f"{subject.name} has no input '{argument.span.text}'",
            argument.span,
            expected="one of " + ", ".join(subject.inputs),
            hint=did_you_mean(word(argument), subject.inputs),
        )


def _check_words(law: Law) -> None:
    """The words that only one property takes."""
    if law.name == "zero_if":
        names = equated(law)
        for operand in law.arguments[0].operands if isinstance(law.arguments[0], ast.Compare) else ():
            assert word(operand) in names
            _check_input(operand, law.subject)
    elif law.name == "monotone" and word(law.arguments[0]) not in ("increasing", "decreasing"):
        raise wrong(law.arguments[0], "increasing or decreasing")
    elif law.name == "invariant":
        _check_change(law)


def _check_change(law: Law) -> None:
    what, axes = transformation(law)
    if what not in CHANGES:
        raise wrong(law.arguments[0], "one of " + ", ".join(CHANGES), did_you_mean(what, CHANGES))
    most = MOST_AXES.get(what)
    if most is not None and not 1 <= len(axes) <= most:
        raise wrong(law.arguments[0], f"{what}[axis], as in @invariant({what}[i], z)")
    declared = [axis.name or "" for axis in axes_of(law.subject.parameters[law.names()[0]])]
    for axis in axes:
        if axis not in declared:
            message = f"'{law.names()[0]}' has no axis '{axis}'"
            expected = "one of " + ", ".join(declared)
            hint = did_you_mean(axis, declared)
            raise error("LL0204", message, law.arguments[0].span, expected=expected, hint=hint)


# ------------------------------------------------------------------------------------------ checking
def check(law: Law, examples: int | None = None) -> None:
    """Search for a counterexample; the same ones are tried on every run.

    Args:
        law: one of `laws_of`.
        examples: how many tries; by default as many as Hypothesis's profile says.

    Raises:
        LawBroken: with the smallest counterexample found.
        LosslangError: where the definition, or a call in the decorator, does not compile.
    """
    count: int = examples or settings().max_examples  # pyright: ignore[reportUnknownVariableType]
    problem = _example(law) if law.name == EXAMPLE else _search(law, min(count, FEW) if law.subject.networks else count)
    if problem is not None:
        raise LawBroken(law, problem)


def _search(law: Law, examples: int) -> str | None:
    rule = PROPERTIES[law.name]
    trials = st.composite(lambda draw: rule.check(law, draw))()
    quietly = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list[HealthCheck](HealthCheck),  # type: ignore[arg-type]
    )
    try:
        return find(trials, lambda problem: problem is not None, settings=quietly)
    except NoSuchExample:
        return None


@dataclass(frozen=True)
class Verdict:
    """What became of one law; ``problem`` is None where it holds as far as was tried."""

    definition: str
    law: str
    problem: str | None = None


@dataclass(frozen=True)
class Report:
    """What became of every law that was checked."""

    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them hold."""
        return not any(verdict.problem for verdict in self.verdicts)

    def __str__(self) -> str:
        problems = [verdict.problem for verdict in self.verdicts if verdict.problem]
        definitions = {verdict.definition for verdict in self.verdicts}
        held = len(self.verdicts) - len(problems)
        summary = f"{held} of {len(self.verdicts)} claims about {len(definitions)} definitions hold"
        return "\n\n".join([*problems, summary])


def run(
    names: Iterable[str] | None = None, environment: Environment = LIBRARY_ONLY, examples: int | None = None
) -> Report:
    """Check the laws of definitions by name; by default of the user's own file, or else of the whole library.

    Raises:
        LosslangError: LL0201 for an unknown name, and what `laws_of` says of a wrong decorator.
    """
    chosen = list(names) if names is not None else list(environment.own or library().entries)
    laws = [law for name in chosen for law in laws_of(_find(name, environment), environment)]
    return Report(tuple(_verdict(law, examples) for law in laws))


def _find(name: str, environment: Environment) -> Item:
    item = environment.find(name)
    if item is None:
        hint = did_you_mean(name, environment.names())
        raise error("LL0201", f"there is no loss or function '{name}'", hint=hint)
    return item


def _verdict(law: Law, examples: int | None) -> Verdict:
    try:
        check(law, examples)
    except (LawBroken, LosslangError) as problem:
        return Verdict(law.subject.name, law.text, str(problem))
    return Verdict(law.subject.name, law.text)
