"""What a definition is tried on: small arrays that its declared types allow, drawn by Hypothesis.

Reals are tenths between -3 and 3, sometimes 50 or -50. Labels are in range, rows of a ``unit`` have length 1
and those of an ``embed`` are not zero. A ``prob`` whose type has an axis ``c`` sums to 1 along it, zeros and
ones included; the maps of a loss that takes an axis set, as overlap losses do, are numbers in 0..1, as other
probs are. A parameter with a default keeps it where it is a tensor, an unbounded ``int`` or a function; other
numbers, truth values and choices are drawn within their bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from losslang.diagnostics import error
from losslang.sema.kinds import kind_of, label_axis, limits, literal
from losslang.sema.modules import Environment
from losslang.sema.resolve import sort_of
from losslang.syntax import ast
from losslang.testing.models import CLASSES
from losslang.testing.subject import Array, Case, Option, Subject


@dataclass(frozen=True)
class Pin:
    """One comparison of a ``when=``: a scalar parameter, an operator, a literal."""

    name: str
    op: str
    value: Option


Pins: TypeAlias = tuple[Pin, ...]


def pins(condition: ast.Expression | None, subject: Subject) -> Pins:
    """The comparisons that ``gamma == 0 and alpha == none`` consists of.

    Raises:
        LosslangError: LL0202 for an unknown parameter, LL0307 for any other form of condition.
    """
    match condition:
        case None:
            return ()
        case ast.Binary(op="and"):
            return (*pins(condition.left, subject), *pins(condition.right, subject))
        case ast.Compare(operands=(ast.Name(name=name), value), ops=(op,)) if op != "!=":
            parameter = subject.parameters.get(name)
            if parameter is not None and sort_of(parameter) in ("number", "choice"):
                return (Pin(name, op, _constant(value)),)
        case _:
            pass
    raise error(
        "LL0307",
        "a property holds when parameters have certain values",
        condition.span,
        expected="comparisons with numbers, such as when=gamma == 0 and alpha == none",
    )


def _constant(value: ast.Expression) -> Option:
    match value:
        case ast.Name(name="true" | "false" as name):
            return name == "true"
        case ast.Name(name=name):
            return None if name == "none" else name
        case ast.Number(value=number):
            return number
        case _:
            return literal(value)


# ------------------------------------------------------------------------------------------ cases
def draw_case(draw: st.DrawFn, subject: Subject, mentioned: Iterable[str] = (), where: Pins = ()) -> Case:
    """Arrays and numbers for a definition; parameters with a default only where they are ``mentioned``."""
    tensors = [
        p
        for p in subject.signature.parameters
        if sort_of(p) == "tensor" and (p.default is None and not _optional(p) or p.name in mentioned)
    ]
    extents: dict[str, tuple[int, ...]] = dict.fromkeys(subject.scores, (CLASSES,))
    for parameter in tensors:
        for axis in axes_of(parameter):
            if axis.name is not None and axis.name not in extents:
                extents[axis.name] = draw(_extent(axis, subject, parameter))
    for name in subject.open_axes:
        extents.setdefault(name, draw(_TABLE))
    options = {
        p.name: draw(_options(p, [pin for pin in where if pin.name == p.name]))
        for p in subject.signature.parameters
        if _varies(p, where)
    }
    arrays = {p.name: draw(_array(p, extents, subject)) for p in tensors}
    return Case(arrays, options, extents)


def draw_another(draw: st.DrawFn, subject: Subject, name: str, case: Case) -> Array:
    """Another array for a parameter of a case, of the same shape."""
    return draw(_array(subject.parameters[name], case.extents, subject))


def axes_of(parameter: ast.Parameter) -> tuple[ast.Axis, ...]:
    """The declared axes of a tensor parameter."""
    declared = parameter.type
    return declared.groups[-1] if isinstance(declared, ast.TensorType) and declared.groups else ()


def places_of(parameter: ast.Parameter, names: Iterable[str], case: Case) -> tuple[int, ...]:
    """The dimensions that axes of a parameter are in its array."""
    found: list[int] = []
    wanted, place = set(names), 0
    for axis in axes_of(parameter):
        width = len(_lengths(axis, case.extents))
        if axis.name in wanted:
            found += range(place, place + width)
        place += width
    return tuple(found)


def _optional(parameter: ast.Parameter) -> bool:
    return isinstance(parameter.type, ast.TensorType) and parameter.type.optional


def _lengths(axis: ast.Axis, extents: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return (axis.size or 1,) if axis.name is None else extents[axis.name]


# ------------------------------------------------------------------------------------------ extents
NET_SIDE, WINDOW_SIDE = 35, 11
"""The least sides of an image for a feature network, and for a convolution with the usual window."""


def _extent(axis: ast.Axis, subject: Subject, parameter: ast.Parameter) -> st.SearchStrategy[tuple[int, ...]]:
    if axis.name == "...":
        return _RANKS
    if axis.size is not None:
        return st.just((axis.size,))
    kind = parameter.type.kind if isinstance(parameter.type, ast.TensorType) else ""
    if kind == "image" and axis.name in ("h", "w"):
        least = _least_side(subject)
        return _length(least, least + (1 if least > 1 else 3))
    if kind == "box" and axis is axes_of(parameter)[-1]:
        return st.just((4,))
    return _length(2 if axis.name in ("c", "d") else 1, 2 if subject.networks else 4)


_TABLE = st.integers(3, 5).map(lambda n: (n,))
"""Rows of a queue or table: at least as many as there are numbers of rows."""

_RANKS = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@cache
def _length(least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.integers(least, most).map(lambda n: (n,))


def _least_side(subject: Subject) -> int:
    if subject.networks:
        return NET_SIDE
    return WINDOW_SIDE if _mentions(subject.item, "conv", subject.environment, set()) else 1


def _mentions(node: ast.Node, name: str, environment: Environment, seen: set[str]) -> bool:
    """Whether a definition, or one that it calls, uses a builtin."""
    for inner in ast.walk(node):
        if not isinstance(inner, ast.Name) or inner.name in seen:
            continue
        if inner.name == name:
            return True
        seen.add(inner.name)
        found = environment.find(inner.name)
        if found is not None and _mentions(found, name, environment, seen):
            return True
    return False


# ------------------------------------------------------------------------------------------ numbers
def _varies(parameter: ast.Parameter, where: Pins) -> bool:
    """Whether a scalar is drawn: not if it follows another one, or is a count of which nothing is known."""
    if sort_of(parameter) not in ("number", "choice"):
        return False
    if any(pin.name == parameter.name for pin in where) or parameter.default is None:
        return True
    if not (_is_constant(parameter.default) or isinstance(parameter.type, ast.ChoiceType)):
        return False
    bounded = isinstance(parameter.type, ast.TensorType) and bool(parameter.type.bounds)
    kind = parameter.type.kind if isinstance(parameter.type, ast.TensorType) else "choice"
    return kind != "int" or bounded


def _is_constant(default: ast.Expression) -> bool:
    match default:
        case ast.Number() | ast.Unary(operand=ast.Number()):
            return True
        case ast.Name(name=name):
            return name in ("true", "false", "none")
        case _:
            return False


def _options(parameter: ast.Parameter, where: list[Pin]) -> st.SearchStrategy[Option]:
    """Values of a scalar parameter, its default first."""
    fixed = [pin.value for pin in where if pin.op == "=="]
    if fixed:
        return st.just(fixed[0])
    declared = parameter.type
    if isinstance(declared, ast.ChoiceType):
        first = parameter.default.name if isinstance(parameter.default, ast.Name) else ""
        return st.sampled_from(sorted(declared.options, key=lambda option: option != first))
    assert isinstance(declared, ast.TensorType)
    if declared.kind == "bool":
        return st.booleans()
    pinned = ((pin.op, float(pin.value)) for pin in where if isinstance(pin.value, int | float))
    bounds = (*limits(declared), *pinned)
    drawn: st.SearchStrategy[Option] = _within(bounds, whole=declared.kind == "int")
    if declared.optional:
        drawn = st.none() | drawn
    return _default_first(parameter, drawn, where)


def _default_first(
    parameter: ast.Parameter, drawn: st.SearchStrategy[Option], where: list[Pin]
) -> st.SearchStrategy[Option]:
    """The default, which is the simplest value of a parameter, or any other."""
    if where or parameter.default is None:
        return drawn
    return st.just(_constant(parameter.default)) | drawn


@cache
def _within(bounds: tuple[tuple[str, float], ...], *, whole: bool) -> st.SearchStrategy[Option]:
    low = max((value for op, value in bounds if op in (">", ">=")), default=None)
    high = min((value for op, value in bounds if op in ("<", "<=")), default=None)
    low = (-3.0 if high is None else high - 5) if low is None else low
    high = low + 5 if high is None else high
    open_low = any(op == ">" and value == low for op, value in bounds)
    open_high = any(op == "<" and value == high for op, value in bounds)
    if whole:
        return st.integers(math.ceil(low) + open_low, math.floor(high) - open_high)
    start, width = low, high - low
    return st.integers(int(open_low), 20 - int(open_high)).map(lambda k: round(start + width * k / 20, 6))


# ------------------------------------------------------------------------------------------ arrays
def _array(parameter: ast.Parameter, extents: dict[str, tuple[int, ...]], subject: Subject) -> st.SearchStrategy[Array]:
    """Arrays of a parameter's kind."""
    axes = axes_of(parameter)
    shape = tuple(n for axis in axes for n in _lengths(axis, extents))
    declared = parameter.type if isinstance(parameter.type, ast.TensorType) else ast.TensorType("real")
    kind = kind_of(declared)
    match kind.name:
        case "bool":
            return _whole(shape, 0, 1).map(lambda k: k == 1)
        case "int":
            return _whole(shape, 0, 2)
        case "label":
            classes = extents.get(label_axis(declared) or "", (3,))[0]
            return _whole(shape, 0, classes - 1)
        case "prob":
            place = _class_place(parameter, extents, subject)
            return _fractions(shape, 0, 1) if place is None else _weights(shape).map(lambda w: _simplex(w, place))
        case "logprob":
            place = len(shape) - 1 if axes[-1].name != "..." else 0
            return _weights(shape).map(lambda w: np.log(_simplex(w + 1, place)))
        case "image":
            return _fractions(shape, *(kind.range or (0.0, 1.0)))
        case "box":
            return _whole(shape, 0, 8).map(_corners)
        case "embed":
            return _reals(shape).map(_nonzero)
        case "unit":
            return _reals(shape).map(lambda x: _nonzero(x) / np.linalg.norm(_nonzero(x), axis=-1, keepdims=True))
        case _:
            return _reals(shape)


def _class_place(parameter: ast.Parameter, extents: dict[str, tuple[int, ...]], subject: Subject) -> int | None:
    """The dimension along which the probs of a parameter sum to 1, or None."""
    if any(sort_of(p) == "axes" for p in subject.signature.parameters):
        return None
    return next(iter(places_of(parameter, "c", Case({}, {}, extents))), None)


@cache
def _whole(shape: tuple[int, ...], low: int, high: int) -> st.SearchStrategy[Array]:
    """Integers; a strategy that is built once is validated once."""
    return hnp.arrays(np.int64, shape, elements=st.integers(low, high))


@cache
def _reals(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    return _whole(shape, -33, 33).map(_tenths)


def _tenths(k: Array) -> Array:
    """Tenths; what is beyond 3 is 50."""
    return np.where(np.abs(k) <= 30, k / 10, np.sign(k) * 50.0)


@cache
def _fractions(shape: tuple[int, ...], low: float, high: float) -> st.SearchStrategy[Array]:
    return _whole(shape, 0, 8).map(lambda k: low + (high - low) * k / 8)


def _weights(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    return _whole(shape, 0, 4)


def _simplex(weights: Array, place: int) -> Array:
    """Weights divided by their sum along a dimension; where all are zero the first is 1."""
    weights = np.moveaxis(weights.astype(np.float64), place, -1)
    weights[..., 0] += weights.sum(axis=-1) == 0
    return np.moveaxis(weights / weights.sum(axis=-1, keepdims=True), -1, place)


def _corners(k: Array) -> Array:
    """Boxes of two corners, the first one below the second."""
    low, extent = np.split(k / 4, 2, axis=-1)
    return np.concatenate([low, low + extent + 0.25], axis=-1)


def _nonzero(x: Array) -> Array:
    """Rows of zeros get a 1 in front."""
    x = x.copy()
    x[..., 0] += ~np.any(x, axis=-1)
    return x
