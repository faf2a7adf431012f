"""What the decorators of the library mean, one function each: it draws a try and says what is wrong with it.

The *value* of a loss is its mean over rows, as an objective takes it; of a function, every element of its
result. A property is claimed for all inputs of the declared types and all scalar parameters within their
bounds; ``when=gamma == 0 and alpha == none`` restricts any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from losslang.diagnostics import LosslangError, error
from losslang.sema.kinds import label_axis
from losslang.source import Span
from losslang.syntax import ast
from losslang.syntax.printer import print_expression
from losslang.testing.cases import Pins, draw_another, draw_case, places_of
from losslang.testing.subject import Array, Case, Subject, array_text, number_text

TOLERANCE = 1e-7
"""How far float64 may stray from the reals, relative to the numbers at hand."""


@dataclass(frozen=True, eq=False)
class Law:
    """One decorator of a definition that can be checked."""

    name: str
    text: str
    subject: Subject
    arguments: tuple[ast.Expression, ...]
    where: Pins
    span: Span

    def names(self) -> list[str]:
        """The inputs that the arguments name."""
        inputs = self.subject.inputs
        return [a.name for a in self.arguments if isinstance(a, ast.Name) and a.name in inputs]


Property: TypeAlias = Callable[[Law, st.DrawFn], "str | None"]
"""Draws one try; answers what is wrong with it, or None."""


# ------------------------------------------------------------------------------------------ properties
def _nonneg(law: Law, draw: st.DrawFn) -> str | None:
    """``@nonneg``: no row is below 0."""
    case = _draw(law, draw)
    least = np.min(law.subject.elements(case), initial=np.inf)
    return None if least >= -TOLERANCE else _at(law, case, f"gives {_number(least)}", "at least 0")


def _bounded(law: Law, draw: st.DrawFn) -> str | None:
    """``@bounded(a, b)``: every row is within a..b; the bounds may be expressions of scalar parameters."""
    case = _draw(law, draw)
    low, high = (law.subject.number(bound, case) for bound in law.arguments)
    rows = law.subject.elements(case)
    outside = rows[~((rows >= low - _slack(low)) & (rows <= high + _slack(high)))]
    if not outside.size:
        return None
    return _at(law, case, f"gives {_number(outside[0])}", f"within {_number(low)}..{_number(high)}")


def _symmetric(law: Law, draw: st.DrawFn) -> str | None:
    """``@symmetric(a, b)``: swapping a and b leaves the value as it is."""
    case = _draw(law, draw)
    a, b = law.names()
    swapped = case.having(**{a: case.arrays[b], b: case.arrays[a]})
    return _same(law, case, law.subject.value(case), law.subject.value(swapped), f"with {a} and {b} swapped")


def _zero_if(law: Law, draw: st.DrawFn) -> str | None:
    """``@zero_if(a == b)``: every row is 0 where b has the values of a."""
    case = _draw(law, draw)
    a, b = equated(law)
    case = case.having(**{b: case.arrays[a]})
    worst = _worst(law.subject.elements(case))
    return None if abs(worst) <= TOLERANCE else _at(law, case, f"gives {_number(worst)}", "0")


def _convex(law: Law, draw: st.DrawFn) -> str | None:
    """``@convex(x)``: midway between two values of x, all else fixed, the value is at most their mean."""
    case, (name,) = _draw(law, draw), law.names()
    other = case.having(**{name: draw_another(draw, law.subject, name, case)})
    middle = case.having(**{name: (case.arrays[name] + other.arrays[name]) / 2})
    ends = (law.subject.value(case) + law.subject.value(other)) / 2
    between = law.subject.value(middle)
    if np.all(between <= ends + _slack(ends)):
        return None
    excess = np.argmax(between - ends)
    found = f"the value midway to {_given(name, other)} is {_number(between.flat[excess])}"
    return _at(law, case, found, f"at most {_number(ends.flat[excess])}, the mean of both ends")


def _lipschitz(law: Law, draw: st.DrawFn) -> str | None:
    """``@lipschitz(x, L)``: a row changes by at most L times the Euclidean length of x's change in that row.

    Axes that x shares with the rows tell them apart; the length is over its other axes. Where x and the rows
    have the same axes (``l1``) that bounds each element's slope. ``L`` may be an expression of parameters.
    """
    case, (name,) = _draw(law, draw), law.names()
    other = case.having(**{name: draw_another(draw, law.subject, name, case)})
    bound = law.subject.number(law.arguments[1], case)
    rows, others = law.subject.rows(case), law.subject.rows(other)
    allowed = bound * law.subject.lengths(case, name, case.arrays[name] - other.arrays[name])
    excess = np.abs(rows - others) - allowed
    if np.all(excess <= _slack(rows)):
        return None
    worst = np.argmax(excess)
    found = f"to {_given(name, other)} a row changes by {_number(np.abs(rows - others).flat[worst])}"
    return _at(law, case, found, f"at most {_number(allowed.flat[worst])}")


def _monotone(law: Law, draw: st.DrawFn) -> str | None:
    """``@monotone(decreasing, x)``: the value does not grow where elements of x do (or not fall)."""
    case, (name,) = _draw(law, draw), law.names()
    step = np.abs(draw_another(draw, law.subject, name, case))
    other = case.having(**{name: case.arrays[name] + step})
    before, after = law.subject.value(case), law.subject.value(other)
    way = word(law.arguments[0])
    change = after - before if way == "increasing" else before - after
    if np.all(change >= -_slack(before)):
        return None
    worst = np.argmin(change)
    found = f"from {_number(before.flat[worst])} to {_number(after.flat[worst])} at {_given(name, other)}"
    return _at(law, case, found, way)


def _equals(law: Law, draw: st.DrawFn) -> str | None:
    """``@equals(other(...), when=gamma == 0)``: the value is that of the other call."""
    case = _draw(law, draw)
    expression = law.subject.substituted(law.arguments[0], case)
    other = law.subject.evaluated(expression, case)
    return _same(law, case, law.subject.mean(case), other, f"for {print_expression(law.arguments[0])}")


def _finite(law: Law, draw: st.DrawFn) -> str | None:
    """``@finite``: the rows and the gradient of the mean at every input are finite, also for 5e4."""
    case = _draw(law, draw)
    scale = draw(st.sampled_from([1.0, 1000.0]))
    wide = [name for name in case.arrays if _kind(law.subject.parameters[name]) in _UNBOUNDED]
    case = case.having(**{name: case.arrays[name] * scale for name in wide})
    slopes = law.subject.slopes(case).items()
    for what, value in (
        ("the value", law.subject.elements(case)),
        *((f"the gradient at {k}", v) for k, v in slopes),
    ):
        if not np.all(np.isfinite(value)):
            return _at(law, case, f"{what} is {value[~np.isfinite(value)].flat[0]}", "a finite number")
    return None


_UNBOUNDED = ("real", "logit", "embed", "score", "wave")


# ------------------------------------------------------------------------------------------ invariance
Change: TypeAlias = Callable[[Case], Case]


def _invariant(law: Law, draw: st.DrawFn) -> str | None:
    """``@invariant(shift[c], a, b)``: the value stays when these inputs are all changed alike.

    ``shift``: a constant is added; ``scale``: a positive factor; with axes (``shift[c]``) another one for
    each row along them. ``permute[i]``: one reordering of axis i (labels below i are renumbered with it);
    ``flip[h, w]``: the axes are reversed; ``rotate[d]``: one orthogonal map of the vectors along d.
    """
    case = _draw(law, draw)
    what, axes = transformation(law)
    change, words = CHANGES[what](law, draw, case, axes)
    return _same(law, case, law.subject.value(case), law.subject.value(change(case)), words)


def _each(names: Iterable[str], change: Callable[[str, Array], Array]) -> Change:
    return lambda case: case.having(**{name: change(name, case.arrays[name]) for name in names})


def _row_numbers(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str], values: st.SearchStrategy[float]) -> Array:
    """One number in all, or one for each row along the axes of the first input."""
    first = law.names()[0]
    if not axes:
        return np.array(draw(values))
    shape = list(case.arrays[first].shape)
    for place in places_of(law.subject.parameters[first], axes, case):
        shape[place] = 1
    count = int(np.prod(shape))
    return np.array(draw(st.lists(values, min_size=count, max_size=count))).reshape(shape)


def _shift(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str]) -> tuple[Change, str]:
    amount = _row_numbers(law, draw, case, axes, st.integers(-20, 20).map(lambda k: k / 2))
    return _each(law.names(), lambda _, x: x + amount), f"with {array_text(amount)} added to {_all(law)}"


def _scale(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str]) -> tuple[Change, str]:
    factor = _row_numbers(law, draw, case, axes, st.sampled_from([2.0, 1.0, 0.5, 10.0, 0.1]))
    return _each(law.names(), lambda _, x: x * factor), f"with {_all(law)} times {array_text(factor)}"


def _permute(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str]) -> tuple[Change, str]:
    (axis,) = axes
    order = np.array(draw(st.permutations(range(case.extents[axis][0]))))

    def change(name: str, x: Array) -> Array:
        parameter = law.subject.parameters[name]
        for place in places_of(parameter, axes, case):
            x = x.take(order, place)
        numbers = isinstance(parameter.type, ast.TensorType) and label_axis(parameter.type) == axis
        return np.argsort(order)[x] if numbers else x

    return _each(law.names(), change), f"with {axis} of {_all(law)} in the order {order.tolist()}"


def _flip(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str]) -> tuple[Change, str]:
    def change(name: str, x: Array) -> Array:
        return np.flip(x, places_of(law.subject.parameters[name], axes, case))

    return _each(law.names(), change), f"with {', '.join(axes)} of {_all(law)} reversed"


def _rotate(law: Law, draw: st.DrawFn, case: Case, axes: Sequence[str]) -> tuple[Change, str]:
    """A reflection: any orthogonal map is several of them."""
    (axis,) = axes
    size = case.extents[axis][0]
    normal = np.array(draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size).filter(any)))
    mirror = np.eye(size) - 2 * np.outer(normal, normal) / (normal @ normal)

    def change(name: str, x: Array) -> Array:
        (place,) = places_of(law.subject.parameters[name], axes, case)
        return np.moveaxis(np.moveaxis(x, place, -1) @ mirror, -1, place)

    return _each(law.names(), change), f"with {_all(law)} reflected along {normal.tolist()}"


CHANGES: dict[str, Callable[[Law, st.DrawFn, Case, Sequence[str]], tuple[Change, str]]] = {
    "shift": _shift,
    "scale": _scale,
    "permute": _permute,
    "flip": _flip,
    "rotate": _rotate,
}
"""What ``@invariant`` knows."""

MOST_AXES = {"permute": 1, "rotate": 1, "flip": 9}
"""How many axes a change takes, where it needs at least one."""


def transformation(law: Law) -> tuple[str, list[str]]:
    """What an ``@invariant`` does, and along which axes."""
    match law.arguments[0]:
        case ast.Index(base=ast.Name(name=name), items=items):
            return name, ["..." if isinstance(item, ast.Rest) else word(item) for item in items]
        case other:
            return word(other), []


# ------------------------------------------------------------------------------------------ words
def _draw(law: Law, draw: st.DrawFn) -> Case:
    named = (n.name for argument in law.arguments for n in ast.walk(argument) if isinstance(n, ast.Name))
    return draw_case(draw, law.subject, set(named), law.where)


def _same(law: Law, case: Case, one: Array, other: Array, words: str) -> str | None:
    """Complains where two values differ by more than float64 explains; NaN is equal to NaN."""
    if one.shape != other.shape:
        return _at(law, case, f"has shape {one.shape}", f"shape {other.shape} {words}")
    near = np.isclose(one, other, rtol=0, atol=_slack(one), equal_nan=True)
    if np.all(near):
        return None
    worst = int(np.argmin(near))
    return _at(law, case, f"is {_number(one.flat[worst])}", f"{_number(other.flat[worst])}, the value {words}")


def _at(law: Law, case: Case, found: str, wanted: str) -> str:
    return f"at:       {law.subject.text(case)}\n  found:    {found}\n  expected: {wanted}"


def _slack(value: Array | float) -> float:
    finite = np.abs(np.asarray(value, np.float64))
    return TOLERANCE * (1 + float(np.max(finite, initial=0, where=np.isfinite(finite))))


def _worst(rows: Array) -> float:
    """The element farthest from 0; NaN where there is one."""
    return float(rows.flat[np.argmax(np.abs(rows))]) if rows.size else 0.0


def _number(value: Any) -> str:
    return number_text(float(value))


def _given(name: str, case: Case) -> str:
    return f"{name}={array_text(case.arrays[name])}"


def _all(law: Law) -> str:
    return " and ".join(law.names())


def word(node: ast.Node) -> str:
    """A bare name, or nothing."""
    return node.name if isinstance(node, ast.Name) else ""


def _kind(parameter: ast.Parameter) -> str:
    return parameter.type.kind if isinstance(parameter.type, ast.TensorType) else "real"


def equated(law: Law) -> tuple[str, str]:
    """The two names of ``a == b``."""
    match law.arguments[0]:
        case ast.Compare(operands=(ast.Name(name=a), ast.Name(name=b)), ops=("==",)):
            return a, b
        case other:
            raise wrong(other, "an equation of two inputs, such as pred == target")


def wrong(node: ast.Node, expected: str, hint: str | None = None) -> LosslangError:
    """The error for an argument that means nothing to its decorator."""
    message = "this says nothing that can be checked"
    return error("LL0307", message, node.span, expected=expected, found=node.span.text, hint=hint)


# ------------------------------------------------------------------------------------------ the table
@dataclass(frozen=True)
class Rule:
    """A property: how it is checked and written, and which of its arguments name inputs."""

    check: Property
    usage: str
    arguments: int = 0
    inputs: tuple[int, int] = (0, 0)
    """From which argument up to which they name inputs."""
    more: bool = False
    """Whether it takes any number of further arguments."""


PROPERTIES: dict[str, Rule] = {
    "nonneg": Rule(_nonneg, "@nonneg"),
    "bounded": Rule(_bounded, "@bounded(0, 1)", 2),
    "symmetric": Rule(_symmetric, "@symmetric(a, b)", 2, (0, 2)),
    "zero_if": Rule(_zero_if, "@zero_if(a == b)", 1),
    "convex": Rule(_convex, "@convex(x)", 1, (0, 1)),
    "lipschitz": Rule(_lipschitz, "@lipschitz(x, 1)", 2, (0, 1)),
    "monotone": Rule(_monotone, "@monotone(decreasing, x)", 2, (1, 2)),
    "invariant": Rule(_invariant, "@invariant(shift[c], x)", 2, (1, 99), more=True),
    "equals": Rule(_equals, "@equals(other(a, b), when=gamma == 0)", 1),
    "finite": Rule(_finite, "@finite"),
}
"""The properties that can be checked."""
