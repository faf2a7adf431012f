"""Lists of values along an axis: they are unrolled, so their elements may differ in shape.

A list of numbers that is written out is a tensor along an axis that a tensor has, and a list otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from losslang.diagnostics import LosslangError, error
from losslang.ir import ops
from losslang.sema.elementwise import lift, operate, tensor
from losslang.sema.scope import Extent, Scope
from losslang.sema.values import Listed, Static, Tensor, Value, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, INT, REAL, Axes, Axis, Kind


# ------------------------------------------------------------------------------------------ axes of lists
def unrolled(name: str, count: int, scope: Scope, span: Span) -> None:
    """Note that a name is a list axis with so many elements.

    Raises:
        LosslangError: LL0302 where another list over it, or the call, has another number of them.
    """
    known = scope.unrolled.get(name, scope.sizes[name].size if name in scope.sizes else count)
    if known != count:
        raise error(
            "LL0302",
            f"two lists over '{name}' have {known} and {count} elements",
            span,
            expected=f"{known} elements, as the first has",
            found=f"{count} elements",
            hint="give both as many elements",
        )
    scope.unrolled[name] = count


def variable(name: str, scope: Scope) -> Listed:
    """The index variable of a list axis: a number for each element, known at compile time."""
    return Listed(name, tuple(Static(place) for place in range(scope.unrolled[name])))


def renamed(value: Listed, names: Sequence[str], scope: Scope, span: Span) -> Listed:
    """A list, or a list of lists, under the names of its axes here."""
    first, *rest = names
    unrolled(first, len(value.items), scope, span)
    items = [renamed(i, rest, scope, span) if isinstance(i, Listed) and rest else i for i in value.items]
    return Listed(first, tuple(items))


def note(value: Value, names: Sequence[str], scope: Scope) -> None:
    """Let a scope know the axes of a list that it holds."""
    while isinstance(value, Listed) and value.items and names:
        scope.unrolled.setdefault(names[0], len(value.items))
        value, names = value.items[0], names[1:]


def elements(value: Value) -> Iterator[Value]:
    """What is in a list of lists, or the value itself."""
    for item in value.items if isinstance(value, Listed) else ():
        yield from elements(item)
    if not isinstance(value, Listed):
        yield value


# ------------------------------------------------------------------------------------------ lists of numbers
def literal(value: Listed, axes: Sequence[ast.Axis], kind: Kind, scope: Scope, span: Span) -> Value:
    """A list that is written out, for a parameter with these axes: a tensor, or a list over an axis that none has.

    Raises:
        LosslangError: LL0302 for another shape, LL0307 for what is no number.
    """
    names = [axis.name or "" for axis in axes]
    shape = _shape(value, span)
    if any(axis.is_rest for axis in axes):
        raise error(
            "LL0302",
            "a list is an axis with a name, and here any axes may stand",
            span,
            expected="a number, or a tensor",
            found=describe(value),
            hint="declare a tensor for it in the objective's header, and give it",
        )
    if len(shape) != len(names):
        raise error(
            "LL0302",
            f"this list has {len(shape)} level{'s' if len(shape) > 1 else ''}, and {len(names)} axes are wanted",
            span,
            expected=f"a list for each axis of [{', '.join(map(_text, axes))}]",
            found=describe(value),
            hint="an axis is one level of brackets: [[1, 0], [0, 1]] is a matrix",
        )
    for axis, count in zip(axes, shape, strict=True):
        if axis.size not in (None, count):
            raise _length(axis.name or "", axis.size or 0, count, span)
    if len(names) == 1 and names[0] not in scope.axes and names[0] not in scope.sizes:
        unrolled(names[0], shape[0], scope, span)
        return replace(value, axis=names[0])
    made = tuple(along(name, count, scope, span) for name, count in zip(names, shape, strict=True))
    return _stacked(value, made, kind, span)


def _text(axis: ast.Axis) -> str:
    return axis.name if axis.name is not None else str(axis.size)


def _length(name: str, wanted: int, count: int, span: Span) -> LosslangError:
    return error(
        "LL0302",
        f"this list has {count} elements, and axis '{name}' has {wanted}",
        span,
        expected=f"{wanted} elements",
        found=str(count),
        hint=f"one element for each of '{name}'",
    )


def _shape(value: Value, span: Span) -> list[int]:
    """The number of elements at each level."""
    if not isinstance(value, Listed):
        return []
    if not value.items:
        raise error("LL0302", "an empty list has no shape", span, expected="one element or more", hint="leave it out")
    inner = [_shape(item, span) for item in value.items]
    if any(shape != inner[0] for shape in inner):
        raise error(
            "LL0302",
            "the rows of this list differ in length",
            span,
            expected="as many elements in each row",
            found=", ".join(str(shape[0]) if shape else "a number" for shape in inner),
            hint="fill the shorter rows",
        )
    return [len(value.items), *inner[0]]


def along(name: str, count: int, scope: Scope, span: Span) -> Axis:
    """The axis that a list is along: a known one of this name, which then has the extent of the list, or a new one."""
    axes = scope.axes.get(name, ())
    if len(axes) != 1 or not scope.sees(axes[0]):
        return scope.stacked(name, count)
    root = axes[0].root
    known = root.size if root.size is not None else scope.session.extents.get(root)
    if known is not None and known != count:
        raise _length(name, known, count, span)
    scope.session.require(axes[0], Extent(name, count, span))
    return axes[0]


def _stacked(value: Value, axes: Axes, kind: Kind, span: Span) -> Tensor:
    if isinstance(value, Listed):
        items = [_stacked(item, axes[1:], kind, span) for item in value.items]
        return Tensor(ops.stack(axes[0], [item.node for item in items]), axes, kind=kind)
    x = tensor(value, span)
    if x.order or (kind.dtype, x.node.dtype) in (("int", "real"), ("bool", "int"), ("bool", "real")):
        raise error(
            "LL0307",
            f"a list for {kind} holds numbers of that kind",
            span,
            expected=kind.dtype,
            found=describe(x),
            hint="write the numbers out: [0.5, 2.0]",
        )
    return Tensor(ops.apply("real", x.node) if kind.dtype == "real" else x.node, (), kind=kind)


def joined(value: Listed, scope: Scope, span: Span) -> Tensor:
    """A list of values of one shape as a tensor, for what needs them side by side: ``softmax[l](x)``.

    Raises:
        LosslangError: LL0302 where they differ in shape.
    """
    items = [tensor(item, span) for item in value.items]
    if any(set(item.order) != set(items[0].order) or item.domain != items[0].domain for item in items):
        raise error(
            "LL0302",
            f"the elements over '{value.axis}' differ in shape",
            span,
            expected="elements of one shape, or one of sum, mean, prod, max, min, any, all, count",
            found=", ".join(describe(item) for item in items[:3]),
            hint="reduce each of them first",
        )
    axis = scope.new_axis(value.axis, len(items))
    scope.local[axis] = value.axis
    kind = {"int": INT, "bool": BOOL}.get(items[0].node.dtype, REAL)
    return Tensor(ops.stack(axis, [item.node for item in items]), (axis, *items[0].order), items[0].domain, kind)


def apart(x: Tensor, axis: Axis, count: int, name: str) -> Listed:
    """The elements of a tensor along an axis, as a list."""
    order = tuple(other for other in x.order if other != axis)
    places = [ops.index(x.node, {axis: ops.const(place)}) for place in range(count)]
    return Listed(name, tuple(replace(x, node=node, order=order, bound=None, rows=None) for node in places))


# ------------------------------------------------------------------------------------------ choices and folds
def choose(values: Sequence[Value], span: Span) -> Value:
    """``a if condition else b`` where the condition is known for each element of a list."""

    def pick(row: list[Value]) -> Value:
        condition, then, otherwise = row
        if isinstance(condition, Static):
            return then if condition.value else otherwise
        return operate("where", [condition, then, otherwise], span)

    return lift(values, pick, span)


def static_truths(condition: Value) -> tuple[bool, bool]:
    """Whether a condition may hold for some element, and whether it may fail."""
    known = [item.value if isinstance(item, Static) else None for item in elements(condition)]
    return any(value is not False for value in known), any(value is not True for value in known)


FOLDS: dict[str, tuple[str, float | bool]] = {
    "sum": ("add", 0),
    "count": ("add", 0),
    "prod": ("mul", 1),
    "max": ("max", float("-inf")),
    "min": ("min", float("inf")),
    "any": ("or", False),
    "all": ("and", True),
}
"""Reductions that unroll over a list of values of any shapes: an operation, and what it gives for nothing."""


def fold(name: str, value: Listed, where: Value | None, span: Span) -> Value:
    """A reduction over a list axis, of the elements for which a condition holds."""
    kept = [(item, at(where, value, place) or Static(True)) for place, item in enumerate(value.items)]
    kept = [(item, holds) for item, holds in kept if not (isinstance(holds, Static) and holds.value is False)]
    if name == "mean":
        total = _folded("sum", kept, span)
        counts = [(Static(1) if isinstance(holds, Static) else holds, Static(True)) for _, holds in kept]
        return operate("div", [total, operate("max", [_folded("sum", counts, span), Static(1)], span)], span)
    return _folded(name, kept, span)


def at(where: Value | None, value: Listed, place: int) -> Value | None:
    """A filter for one element of a list."""
    return where.items[place] if isinstance(where, Listed) and where.axis == value.axis else where


def _folded(name: str, kept: Sequence[tuple[Value, Value]], span: Span) -> Value:
    operation, nothing = FOLDS[name]
    total: Value = Static(nothing)
    for place, (item, holds) in enumerate(kept):
        one = item if isinstance(holds, Static) else operate("where", [holds, item, Static(nothing)], span)
        if name == "count":
            one = operate("where", [one, Static(1), Static(0)], span)
        total = operate(operation, [total, one], span) if place else one
    return total
