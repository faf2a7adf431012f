"""Elementwise operations on values: numbers fold, lists unroll, tensors align by axis, domains meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from losslang.diagnostics import LosslangError, error
from losslang.ir import ops
from losslang.ir.nodes import Const, Iota, Node
from losslang.sema import complexes
from losslang.sema.losses import combined
from losslang.sema.values import (
    Auto,
    Complex,
    Condition,
    Function,
    Listed,
    Rows,
    Static,
    Tensor,
    Value,
    describe,
    merge_orders,
    scalar,
)
from losslang.source import Span
from losslang.types import BOOL, INT, REAL, Axes, Kind

FUNCTIONS: dict[str, int] = {
    "exp": 1,
    "log": 1,
    "log1p": 1,
    "expm1": 1,
    "sqrt": 1,
    "abs": 1,
    "sign": 1,
    "relu": 1,
    "tanh": 1,
    "sigmoid": 1,
    "softplus": 1,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "asin": 1,
    "acos": 1,
    "atan": 1,
    "atan2": 2,
    "sinh": 1,
    "cosh": 1,
    "arsinh": 1,
    "arcosh": 1,
    "artanh": 1,
    "erf": 1,
    "lgamma": 1,
    "digamma": 1,
    "polygamma": 2,
    "floor": 1,
    "ceil": 1,
    "round": 1,
    "int": 1,
    "elu": 1,
    "log2": 1,
    "log10": 1,
    "log_sigmoid": 1,
    "clamp": 3,
}
"""Builtin elementwise functions, with their number of arguments."""

RESULT_KINDS = {"sigmoid": "prob"}


def lift(values: Sequence[Value], apply: Callable[[list[Value]], Value], span: Span) -> Value:
    """Apply to single values, once for each element of lists; lists over several axes give a list of lists."""
    axis = _outermost(values)
    if axis is None:
        return apply(list(values))
    lists = [value for value in values if isinstance(value, Listed) and value.axis in (axis, "")]
    length = len(lists[0].items)
    if any(len(value.items) != length for value in lists):
        raise error(
            "LL0302",
            "two lists of different length meet",
            span,
            expected=f"{length} elements, as in the list over {axis}",
            found=", ".join(str(len(value.items)) for value in lists[1:]),
        )

    def row(place: int) -> Value:
        single = [v.items[place] if isinstance(v, Listed) and v.axis in (axis, "") else v for v in values]
        return lift(single, apply, span)

    return Listed(axis, tuple(map(row, range(length))))


def _outermost(values: Sequence[Value]) -> str | None:
    """The list axis that is unrolled first: one that is not inside another; None where there are no lists."""
    lists = [value for value in values if isinstance(value, Listed)]
    inside = {axis for value in lists for axis in _list_axes(value)[1:]}
    tops = [value.axis for value in lists]
    return next((axis for axis in tops if axis and axis not in inside), tops[0] if tops else None)


def _list_axes(value: Value) -> list[str]:
    return [value.axis, *(_list_axes(value.items[0]) if value.items else [])] if isinstance(value, Listed) else []


def tensor(value: Value, span: Span) -> Tensor:
    """A value as a tensor; numbers become constants.

    Raises:
        LosslangError: LL0307 for what is no number and no tensor.
    """
    match value:
        case Tensor():
            return value
        case Static(value=bool() | int() | float()) if not isinstance(value.value, str) and value.value is not None:
            kind = BOOL if isinstance(value.value, bool) else INT if isinstance(value.value, int) else REAL
            node = scalar(value.value)
            return Tensor(node.node, (), kind=kind)
        case Auto():
            raise error(
                "LL0307",
                "auto stands only for a parameter or a weight",
                span,
                expected="a number or tensor",
                found="auto",
                hint="give it as a parameter: tau=auto, or as a weight: auto*loss",
            )
        case _:
            raise error(
                "LL0307",
                f"{describe(value)} is no number or tensor",
                span,
                expected="a number or tensor",
                found=describe(value),
                hint=_no_tensor_hint(value),
            )


def _no_tensor_hint(value: Value) -> str:
    match value:
        case Static(value=None):
            return "compare it first: x == none"
        case Static():
            return "a choice is compared: order == l1"
        case Complex():
            return "take a part of it: abs(z), abs2(z), re(z), im(z) or angle(z)"
        case Listed():
            return "stack it along a new axis: z[v, i] = [z1, z2], or reduce it: sum[l](...)"
        case _:
            return "call it: its value is a tensor"


def operate(name: str, values: Sequence[Value], span: Span) -> Value:
    """An elementwise operation of `ops.OPS` on values."""

    def apply(single: list[Value]) -> Value:
        if any(isinstance(value, Complex) for value in single):
            return complexes.arithmetic(name, single, span, operate)
        folded = _fold(name, single)
        if folded is not None:
            return folded
        if any(isinstance(value, Function) for value in single):
            return combined(name, single, span)
        tensors = [tensor(value, span) for value in single]
        _check_rests(tensors, span)
        node = ops.apply(name, *(t.node for t in tensors))
        kind = _kind(name, node)
        return Tensor(node, _order(name, tensors), combine(tensors, span), kind, rows=_rows(name, tensors, span))

    return lift(values, apply, span)


def _order(name: str, tensors: Sequence[Tensor]) -> Axes:
    """The axes of a combination as written: values say their order, conditions and index variables only add to it.

    In ``x - m if c == labels else x`` that is the order of x; ``c == labels`` alone has the class after the rows.
    """
    values = tensors[1:] if name == "where" else [t for t in tensors if not isinstance(t.node, Iota)]
    rest = [t for t in tensors if all(t is not value for value in values)]
    return merge_orders([t.order for t in (*values, *rest)])


def _check_rests(tensors: Sequence[Tensor], span: Span) -> None:
    """Two different ``...`` would pair every element of one value with every element of the other."""
    rests = {axis for value in tensors for axis in value.order if axis.rest}
    if len(rests) > 1 and not any(rests <= set(value.order) for value in tensors):
        raise error(
            "LL0302",
            "two values meet whose dimensions '...' are not the same",
            span,
            expected="one name for dimensions that are the same",
            found=" and ".join(describe(value) for value in tensors),
            hint="what a model gives has a '...' of its own, unless it has a name: real[b, ...s] -> real[b, ...s]",
        )


def applied(name: str, values: Sequence[Value], span: Span) -> Value:
    """A function of `FUNCTIONS`: one operation, or a formula of several."""
    if name == "polygamma":
        _check_order(values[0], span)
    formula = _FORMULAS.get(name)
    if formula is None:
        return operate(name, values, span)

    def op(name: str, *operands: Value) -> Value:
        return operate(name, operands, span)

    return formula(values[0], op)


def _check_order(order: Value, span: Span) -> None:
    if not isinstance(order, Static) or not isinstance(order.value, int) or not 0 <= order.value <= MAX_ORDER:
        raise error(
            "LL0307",
            "the order of polygamma is a whole number",
            span,
            expected=f"a number from 0 to {MAX_ORDER}: polygamma(1, x)",
            found=describe(order),
            hint="polygamma(0, x) is digamma(x), polygamma(1, x) its derivative",
        )


MAX_ORDER = 20
"""Derivatives of digamma: beyond it their factorials fill the range of a float."""

Operate: TypeAlias = Callable[..., Value]


def _elu(x: Value, op: Operate) -> Value:
    positive, zero = op("lt", Static(0), x), Static(0.0)
    return op("where", positive, x, op("expm1", op("where", positive, zero, x)))


_FORMULAS: dict[str, Callable[[Value, Operate], Value]] = {
    "digamma": lambda x, op: op("polygamma", Static(0), x),
    "elu": _elu,
    "log2": lambda x, op: op("div", op("log", x), Static(math.log(2))),
    "log10": lambda x, op: op("div", op("log", x), Static(math.log(10))),
    "log_sigmoid": lambda x, op: op("neg", op("softplus", op("neg", x))),
}


def _fold(name: str, values: list[Value]) -> Static | None:
    """The result where all values are numbers."""
    numbers = [v.value for v in values if isinstance(v, Static) and isinstance(v.value, (bool, int, float))]
    if len(numbers) < len(values):
        return None
    node = ops.apply(name, *map(ops.const, numbers))
    return Static(node.value) if isinstance(node, Const) else None


def _kind(name: str, node: Node) -> Kind:
    if name in RESULT_KINDS:
        return Kind(RESULT_KINDS[name])
    return {"bool": BOOL, "int": INT, "real": REAL}[node.dtype]


def _rows(name: str, tensors: Sequence[Tensor], span: Span) -> Rows | None:
    """Whose rows the result holds: what is linear in the rows of a loss is still rows of it."""
    held = [t.rows for t in tensors if t.rows is not None]
    match name, held:
        case "neg" | "stop" | "real" | "mul" | "add" | "sub", [rows]:
            alone = rows.normaliser is None or name not in ("add", "sub")
            return rows if alone else replace(rows, clash=rows.clash or f"{rows.loss} and a value")
        case "div", [rows] if tensors[0].rows is not None:
            return rows
        case "add" | "sub", [first, second]:
            return _added(first, second, span)
        case _:
            return None


def _added(first: Rows, second: Rows, span: Span) -> Rows:
    """Rows of two losses, one by one: they have to be rows of the same things."""
    if first.axes and second.axes and first.axes != second.axes:
        raise error(
            "LL0310",
            f"{first.loss} has rows over {_names(first)}, and {second.loss} over {_names(second)}",
            span,
            expected="rows of the same axes, or numbers",
            found=f"rows over {_names(first)} and over {_names(second)}",
            hint=f"reduce each of them first: {first.loss}(..., reduce=mean), or mean[{_names(first)}](...)",
        )
    whole = first if first.axes else second
    if first.normaliser == second.normaliser:
        return replace(whole, clash=first.clash or second.clash)
    return replace(whole, normaliser=first.normaliser or second.normaliser, clash=f"{first.loss} and {second.loss}")


def _names(rows: Rows) -> str:
    return ", ".join(map(str, sorted(rows.axes, key=lambda axis: axis.key)))


def combine(tensors: Sequence[Tensor], span: Span) -> tuple[Condition, ...]:
    """Where a combination of values is defined: where all of them are.

    Raises:
        LosslangError: LL0304 where two different filters meet: the result would be silently empty or partial.
    """
    joined: dict[Condition, None] = {}
    explicit: set[Condition] | None = None
    for value in tensors:
        own = {condition for condition in value.domain if not condition.mask}
        if own:
            if explicit is not None and not (own <= explicit or explicit <= own):
                raise _clash(span)
            explicit = own | (explicit or set())
        joined.update(dict.fromkeys(value.domain))
    return tuple(joined)


def _clash(span: Span) -> LosslangError:
    return error(
        "LL0304",
        "two values with different filters meet",
        span,
        expected="values that are defined for the same elements",
        hint="reduce each of them first, as in mean[i, j](a) + mean[i, j](b)",
    )
