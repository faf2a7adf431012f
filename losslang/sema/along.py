"""Builtins that name axes and are no reduction: sorting, running sums, windows.

A builtin is a function of its call; the table `BUILTINS` at the end is what the language knows by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.maps import STFT_WINDOWS, map_along, spread
from losslang.ir.nodes import Node
from losslang.sema.brackets import (
    MAX_RANGE,
    always,
    bracket_axes,
    conditions,
    conjunction,
    evaluated_filter,
    split_domain,
    take,
)
from losslang.sema.elementwise import combine, lift, tensor
from losslang.sema.scope import Scope
from losslang.sema.values import Condition, Listed, Static, Tensor, Value, axes_text, describe, merge_orders
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import INT, Axes, Axis


@dataclass(frozen=True)
class Bracketed:
    """A call ``name[items if condition](...)`` of a builtin."""

    name: str
    callee: ast.Index
    node: ast.Call
    scope: Scope

    @property
    def span(self) -> Span:
        """Where the call stands."""
        return self.node.span

    # ------------------------------------------------------------------------------------- arguments
    def arguments(self, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Value]:
        """The arguments by name: in order, or named.

        Raises:
            LosslangError: LL0202 (no such parameter), LL0205, LL0207, LL0208.
        """
        names = [*needed, *optional]
        given: dict[str, Value] = {}
        free = iter(names)
        for argument in self.node.arguments:
            name = argument.name if argument.name is not None else next((n for n in free if n not in given), None)
            if name is None:
                raise self._wrong("LL0208", f"{self.name} takes no more arguments", argument.span, names)
            if name not in names:
                raise self._wrong("LL0202", f"{self.name} has no parameter '{name}'", argument.span, names, name)
            if name in given:
                raise self._wrong("LL0205", f"'{name}' is given twice", argument.span, names)
            given[name] = self._value(name, argument.value)
        missing = [name for name in needed if name not in given]
        if missing:
            raise self._wrong("LL0207", f"{self.name} needs '{missing[0]}'", self.span, names)
        return given

    def _value(self, name: str, expression: ast.Expression) -> Value:
        """An argument; the words of a choice are names of their own."""
        if name in CHOICES and isinstance(expression, ast.Name) and expression.name not in self.scope.values:
            return Static(expression.name)
        return self.scope.session.evaluate(expression, self.scope)

    def _wrong(
        self, code: str, message: str, span: Span, names: Sequence[str], found: str | None = None
    ) -> LosslangError:
        usage = f"{self.name}[axis]({', '.join(names)})"
        near = did_you_mean(found, names) if found is not None else None
        return error(code, message, span, expected=", ".join(names), found=found, hint=near or f"write {usage}")

    def one(self, value: Value, action: Callable[[Tensor], Value]) -> Value:
        """Apply to a tensor, or to each element of a list."""
        return lift([value], lambda single: action(tensor(single[0], self.span)), self.span)

    def number(self, value: Value, name: str, low: int = 1, high: int = 2**31) -> int:
        """An argument that is a whole number when the objective is compiled."""
        known = value.value if isinstance(value, Static) else None
        if not isinstance(known, int) or isinstance(known, bool) or not low <= known <= high:
            raise error(
                "LL0305" if isinstance(known, int) else "LL0307",
                f"{name} of {self.name} is a whole number",
                self.span,
                expected=f"{low} to {high}, known when the objective is compiled",
                found=describe(value),
                hint=f"write it out: {name}={max(low, 1)}",
            )
        return known

    def word(self, given: Mapping[str, Value], name: str, choices: Sequence[str], hint: str | None = None) -> str:
        """An option that is one of a few words; the first of them where it is left out."""
        value = given.get(name)
        if value is None:
            return choices[0]
        word = value.value if isinstance(value, Static) else None
        if not isinstance(word, str) or word not in choices:
            raise error(
                "LL0308",
                f"{name} of {self.name} is a choice",
                self.span,
                expected=" or ".join(choices),
                found=describe(value),
                hint=hint or f"write {name}={choices[0]}",
            )
        return word

    # ------------------------------------------------------------------------------------- axes and filters
    def whole(
        self, domain: tuple[Condition, ...], over: Axes, *, expected: str, found: str, hint: str, where: str = "an axis"
    ) -> None:
        """Refuse a filter over axes that are taken as wholes, of the value or in the bracket.

        Raises:
            LosslangError: LL0304.
        """
        if split_domain(domain, over)[0] or self.callee.filter is not None:
            message = f"{self.name} over {where} with a filter or mask"
            raise error("LL0304", message, self.span, expected=expected, found=found, hint=hint)

    def axes(self, order: Axes) -> Axes:
        """The axes that the bracket names, for a value with this order."""
        return bracket_axes(self.callee.items, order, self.scope)

    def one_axis(self, x: Tensor) -> Axis:
        """The single axis that the bracket names."""
        axes = self.axes(x.order)
        if len(axes) != 1 or axes[0].rest or axes[0] not in x.order:
            raise error(
                "LL0302",
                f"{self.name} works along one axis",
                self.span,
                expected=f"one axis of the value: {self.name}[i](x)",
                found=axes_text(axes) or "no axis",
                hint=f"the value has the axes {axes_text(x.order) or 'of a number: none'}",
            )
        return axes[0]

    def new_axis(self, order: Axes, size: int) -> Axis:
        """An axis of known extent, under the first name on the left of the binding that the value does not have."""
        names = [name for name in self.scope.wanted if not self._names(name, order)]
        if not names:
            raise error(
                "LL0302",
                f"{self.name} makes a new axis, and nothing names it",
                self.span,
                expected=f"a binding: near[i, r] = {self.name}[j](...)",
                hint="the new axis stands on the left, beside those of the value",
            )
        known = self.scope.axes.get(names[0])
        if known is None:
            return self.scope.stacked(names[0], size)
        if len(known) != 1 or known[0].root.size != size:
            raise error(
                "LL0302",
                f"'{names[0]}' is another axis already",
                self.span,
                expected=f"a new name, or an axis of {size} elements",
                found=f"{names[0]}" + (f" of {known[0].root.size}" if known[0].root.size else ""),
                hint=f"call it {names[0]}2",
            )
        return known[0]

    def name_axis(self, axis: Axis, order: Axes) -> None:
        """Give an axis that this call made the first name on the left of the binding that no operand has."""
        names = [name for name in self.scope.wanted if not self._names(name, order) and name not in self.scope.axes]
        if names:
            self.scope.axes[names[0]] = (axis,)
        self.scope.local[axis] = names[0] if names else str(axis)

    def _names(self, name: str, order: Axes) -> bool:
        """Whether a name means an axis of a value."""
        own = {axis.name for axis in order} | {self.scope.name_of(axis) for axis in order}
        return name in own or bool(set(self.scope.axes.get(name, ())) & set(order))

    def filtered(self, *tensors: Tensor) -> tuple[Axes, Node | None, tuple[Condition, ...], tuple[Condition, ...]]:
        """The axes of the bracket, which elements along them exist, and the conditions: theirs and the others."""
        where = None if self.callee.filter is None else evaluated_filter(self.callee.filter, self.scope)
        orders = [x.order for x in tensors] + ([] if where is None else [where.order])
        over = self.axes(merge_orders(orders))
        inner, outer = split_domain(combine(tensors, self.span), over)
        if where is not None:
            inner = (*inner, *(c for c in conditions(where.node) if c not in inner))
        return over, conjunction([condition.node for condition in inner]), inner, outer


CHOICES: Mapping[str, tuple[str, ...]] = {
    "window": STFT_WINDOWS,
    "pad": ("reflect", "zero", "replicate", "valid"),
    "part": ("re", "im"),
}
"""Parameters whose arguments are words."""


# ------------------------------------------------------------------------------------------ sorting
def _key(by: Tensor, mask: Node | None, over: Axes) -> Node:
    """What decides the order: elements that do not exist come last, where numpy and torch put nan."""
    key = spread(ops.apply("real", by.node), over)
    return key if mask is None else ops.apply("where", mask, key, ops.const(math.nan))


def _sort(call: Bracketed) -> Value:
    """``sort[i](x)``, ``sort[i](x, by=key)``: ascending; equals stay in order, what a filter excludes comes last."""
    given = call.arguments(["x"], ["by"])
    return lift([given["x"], given.get("by", given["x"])], lambda pair: _sorted(call, *pair), call.span)


def _sorted(call: Bracketed, value: Value, by: Value) -> Tensor:
    x, key = tensor(value, call.span), tensor(by, call.span)
    over, mask, inner, outer = call.filtered(x, key)
    places = _key(key, mask, over)
    node = map_along("sort", (spread(x.node, over), places), over)
    domain = outer
    if mask is not None:
        exists = map_along("sort", (spread(mask, over), places), over)
        domain = (*outer, Condition(exists, all(condition.mask for condition in inner)))
    return Tensor(node, merge_orders([x.order, key.order]), domain, x.kind, x.bound)


def _unsort(call: Bracketed) -> Value:
    """``unsort[i](x, by=key)``: sorted values back where their keys are, the inverse of ``sort``."""
    given = call.arguments(["x", "by"])

    def unsorted(pair: list[Value]) -> Tensor:
        x, key = (tensor(value, call.span) for value in pair)
        over, mask, inner, outer = call.filtered(key)
        kept = replace(x, domain=split_domain(x.domain, over)[1])
        outer = combine([kept, replace(key, domain=outer)], call.span)
        node = map_along("unsort", (spread(x.node, over), _key(key, mask, over)), over)
        return Tensor(node, merge_orders([x.order, key.order]), (*outer, *inner), x.kind, x.bound)

    return lift([given["x"], given["by"]], unsorted, call.span)


def _rank(call: Bracketed) -> Value:
    """``rank[i](x)``: the place of each element in ascending order, from 0; equals in order."""

    def ranked(x: Tensor) -> Tensor:
        over, mask, inner, outer = call.filtered(x)
        node = map_along("rank", (_key(x, mask, over),), over)
        bound = over[0] if len(over) == 1 and not over[0].rest else None
        return Tensor(node, merge_orders([x.order, over]), (*outer, *inner), INT, bound)

    return call.one(call.arguments(["x"])["x"], ranked)


def _cumsum(call: Bracketed) -> Value:
    """``cumsum[i](x)``, ``cumsum[i](x, by=key)``: each element and those before it, maybe in a key's order."""
    given = call.arguments(["x"], ["by", "reverse"])
    backwards = given.get("reverse", Static(False))
    if not isinstance(backwards, Static) or not isinstance(backwards.value, bool):
        raise error(
            "LL0307",
            "reverse= is true or false",
            call.span,
            expected="true or false",
            found=describe(backwards),
            hint="reverse=true sums from the other end",
        )
    reverse = backwards.value
    operands = [given[name] for name in ("x", "by") if name in given]
    return lift(operands, lambda single: _summed(call, reverse, *single), call.span)


def _summed(call: Bracketed, reverse: bool, value: Value, by: Value | None = None) -> Tensor:
    x = tensor(value, call.span)
    key = None if by is None else tensor(by, call.span)
    over, mask, inner, outer = call.filtered(x, *([] if key is None else [key]))
    if key is None and (len(over) != 1 or over[0].rest) and not _is_sorted(x.node, over):
        raise error(
            "LL0302",
            "a running sum over several axes needs an order",
            call.span,
            expected=f"one axis, or by=key: {call.name}{axes_text(over)}(x, by=-score)",
            found=axes_text(over) or "no axis",
            hint="by= says in which order the elements are summed",
        )
    summand = x.node if x.node.dtype != "bool" else ops.apply("where", x.node, ops.const(1), ops.const(0))
    if mask is not None:
        summand = ops.apply("where", mask, summand, ops.zero(summand.dtype))
    node = spread(summand, over)
    order = x.order if key is None else merge_orders([x.order, key.order])
    places = None if key is None else spread(ops.apply("real", key.node), over)
    if places is not None:
        node = map_along("sort", (node, places), over)
    node = map_along("cumsum", (node,), over, reverse=reverse)
    if places is not None:
        node = map_along("unsort", (node, places), over)
    return Tensor(node, merge_orders([order, over]), (*outer, *inner))


def _is_sorted(x: Node, over: Axes) -> bool:
    """Whether a value has an order along some axes together."""
    return isinstance(x, ir.Map) and x.name == "sort" and set(x.over) == set(over)


def _topk(call: Bracketed) -> Value:
    """``topk[j](x, k)``: the k largest, the largest first, along a new axis that the left side of a binding names."""
    return _largest(call, places=False)


def _argtopk(call: Bracketed) -> Value:
    """``argtopk[j if c](x, k)``: where the k largest are, an integer that indexes j."""
    return _largest(call, places=True)


def _largest(call: Bracketed, places: bool) -> Value:
    given = call.arguments(["x", "k"])
    count = call.number(given["k"], "k", high=MAX_RANGE)

    def chosen(value: Tensor) -> Tensor:
        axis = call.one_axis(value)
        _, mask, _, outer = call.filtered(value)
        if axis.root.size is not None and count > axis.root.size:
            raise error(
                "LL0305",
                f"axis '{call.scope.name_of(axis)}' has {axis.root.size} elements",
                call.span,
                expected=f"k up to {axis.root.size}",
                found=str(count),
                hint="what does not exist cannot be among the largest",
            )
        x = spread(value.node, (axis,))
        key = _key(replace(value, node=ops.apply("neg", ops.apply("real", x))), mask, (axis,))
        node = map_along("sort", (ops.iota(axis) if places else x, key), (axis,))
        fresh = call.new_axis(value.order, count)
        ordered = Tensor(node, value.order, outer, INT if places else value.kind, axis.root if places else value.bound)
        found = take(ordered, {axis: Tensor(ops.iota(fresh), (fresh,), kind=INT)}, call.scope)
        existing = ops.size(axis, x) if mask is None else ops.reduce("sum", mask, (axis,))
        missing = conditions(always(ops.apply("lt", ops.iota(fresh), existing)))
        domain = (*outer, *(Condition(condition.node, True) for condition in missing))
        return replace(found, domain=domain, bound=ordered.bound)

    return call.one(given["x"], chosen)


# ------------------------------------------------------------------------------------------ matrices
def _pair(call: Bracketed, x: Tensor) -> tuple[Axis, Axis]:
    """The rows and columns that the bracket names."""
    axes = call.axes(x.order)
    if len(axes) != 2 or len(call.callee.items) != 2 or any(axis.rest or axis not in x.order for axis in axes):
        raise error(
            "LL0302",
            f"{call.name} takes a matrix: two axes of its value",
            call.span,
            expected=f"{call.name}[d, e](a) for a[d, e]",
            found=axes_text(axes) or "no axis",
            hint=f"the value has the axes {axes_text(x.order) or 'of a number: none'}",
        )
    outside = "give what is outside a number: a if m else (d == e)"
    call.whole(x.domain, axes, expected="a whole matrix", found=describe(x), hint=outside, where="axes")
    return axes[0], axes[1]


def _square(call: Bracketed, x: Tensor) -> tuple[Axis, Axis]:
    """Rows and columns of equal number: variables over one axis, or of one known extent."""
    row, column = _pair(call, x)
    if row.root != column.root and (row.root.size is None or row.root.size != column.root.size):
        raise error(
            "LL0302",
            f"{call.name} takes a square matrix",
            call.span,
            expected="two index variables over one axis, or axes of one known extent",
            found=axes_text((row, column)),
            hint="declare the extents, a: real[d=3, e=3], or index one axis twice: c[d, e] = sum[i](x[i, d]*x[i, e])",
        )
    return row, column


def _matrix(of: Callable[[Axis, Axis], Axes], square: bool = True) -> Callable[[Bracketed], Value]:
    """A function of matrices; ``of`` says which of the two axes its result has."""

    def apply(call: Bracketed) -> Value:
        def single(x: Tensor) -> Tensor:
            row, column = _square(call, x) if square else _pair(call, x)
            node = map_along(call.name, (spread(x.node, (row, column)),), (row, column))
            kept = of(row, column)
            order = tuple(axis for axis in x.order if axis in kept or axis not in (row, column))
            return Tensor(node, order, x.domain)

        return call.one(call.arguments(["a"])["a"], single)

    return apply


def _eigmin(call: Bracketed) -> Value:
    """The smallest eigenvalue of a symmetric matrix."""

    def single(x: Tensor) -> Tensor:
        row, column = _square(call, x)
        values = map_along("eigvals", (spread(x.node, (row, column)),), (row, column))
        order = tuple(axis for axis in x.order if axis not in (row, column))
        return Tensor(ops.reduce("min", values, (row,)), order, x.domain)

    return call.one(call.arguments(["a"])["a"], single)


def _spectral_norm(call: Bracketed) -> Value:
    """``spectral_norm[i, j](w)``: the largest singular value, the root of the largest eigenvalue of ``w'w``."""

    def single(x: Tensor) -> Tensor:
        row, column = _pair(call, x)
        fresh = ops.copies((column,), {*x.node.axes, *x.order})[column]
        other = ops.index(x.node, {column: ops.iota(fresh)})
        gram = ops.reduce("sum", ops.apply("mul", x.node, other), (row,))
        values = map_along("eigvals", (spread(gram, (column, fresh)),), (column, fresh))
        largest = ops.apply("max", ops.const(0.0), ops.reduce("max", values, (column,)))
        order = tuple(axis for axis in x.order if axis not in (row, column))
        return Tensor(ops.apply("sqrt", largest), order, x.domain)

    return call.one(call.arguments(["w"])["w"], single)


def _solve(call: Bracketed) -> Value:
    """``solve[d, e](a, x)``: y[e] with ``sum[e](a[d, e]*y[e]) = x[d]``."""
    given = call.arguments(["a", "x"])

    def single(pair: list[Value]) -> Tensor:
        a, x = (tensor(value, call.span) for value in pair)
        row, column = _square(call, a)
        if row not in x.order or column in x.order:
            raise error(
                "LL0302",
                f"solve takes a vector over the rows '{call.scope.name_of(row)}', and gives one over the columns",
                call.span,
                expected=f"x[{call.scope.name_of(row)}]",
                found=describe(x),
                hint=f"index it: x[..., {call.scope.name_of(row)}]",
            )
        domain = combine([a, x], call.span)
        if split_domain(domain, (row, column))[0]:
            raise error("LL0304", "solve over an axis with a filter or mask", call.span, hint="give numbers outside")
        node = map_along("solve", (spread(a.node, (row, column)), spread(x.node, (row,))), (row, column))
        outer = tuple(axis for axis in a.order if axis not in (row, column))
        placed = tuple(column if axis == row else axis for axis in x.order)
        return Tensor(node, merge_orders([outer, placed]), domain)

    return lift([given["a"], given["x"]], single, call.span)


def _assignment(call: Bracketed) -> Value:
    """``assignment[i, j](cost)``: for each i its j, where all together cost least; what gets none is absent."""

    def single(x: Tensor) -> Tensor:
        over, mask, _, outer = call.filtered(x)
        if len(over) != 2 or len(call.callee.items) != 2 or any(axis.rest or axis not in x.order for axis in over):
            raise error(
                "LL0302",
                "assignment pairs two axes of its value",
                call.span,
                expected="assignment[i, j](cost) for cost[i, j]",
                found=axes_text(over) or "no axis",
                hint=f"the value has the axes {axes_text(x.order) or 'of a number: none'}",
            )
        row, column = over
        cost = ops.apply("real", x.node)
        if mask is not None:
            cost = ops.apply("where", mask, cost, ops.const(math.inf))
        node = map_along("assignment", (spread(cost, over),), over)
        paired = mask is None and row.root == column.root
        domain = outer if paired else (*outer, Condition(ops.apply("le", ops.const(0), node), True))
        order = tuple(axis for axis in x.order if axis != column)
        return Tensor(node, order, domain, INT, column.root)

    return call.one(call.arguments(["cost"])["cost"], single)


# ------------------------------------------------------------------------------------------ pyramids
PADS = ("zero", "replicate", "valid")


def _padding(call: Bracketed, given: dict[str, Value]) -> str:
    chosen = given.get("pad", Static("zero"))
    if not isinstance(chosen, Static) or chosen.value not in PADS:
        raise error(
            "LL0308",
            f"pad= of {call.name} says what an odd side gets",
            call.span,
            expected=" or ".join(PADS),
            found=describe(chosen),
            hint="zero: a zero on either side; replicate: its first element again; valid: it loses its last one",
        )
    return str(chosen.value)


def _halved(call: Bracketed, x: Tensor, pad: str) -> Tensor:
    axes = call.axes(x.order)
    call.whole(x.domain, axes, expected="whole images", found=describe(x), hint="mask the result instead")
    over = tuple(axis for axis in axes if axis in x.node.axes)
    node = map_along("halve", (x.node,), over, pad=pad)
    made = {axis: axis.derive("half") for axis in over}
    for axis, derived in made.items():
        call.scope.local[derived] = call.scope.name_of(axis)
    return Tensor(node, tuple(made.get(axis, axis) for axis in x.order), x.domain, x.kind)


def _halve(call: Bracketed) -> Value:
    """``halve[h, w](x)``: means of neighbours, 2x2 average pooling."""
    given = call.arguments(["x"], ["pad"])
    pad = _padding(call, given)
    return call.one(given["x"], lambda x: _halved(call, x, pad))


MAX_LEVELS = 16
"""Levels of a pyramid: each halves the sides."""


def _pyramid(call: Bracketed) -> Value:
    """``pyramid[h, w](x, levels)``: x, x halved, and so on, as a list."""
    given = call.arguments(["x", "levels"], ["pad"])
    pad = _padding(call, given)
    count = call.number(given["levels"], "levels", high=MAX_LEVELS)

    def levels(x: Tensor) -> Value:
        found = [x]
        for _ in range(count - 1):
            found.append(_halved(call, found[-1], pad))
        return Listed("", tuple(found))

    return levels(tensor(given["x"], call.span))


BUILTINS: dict[str, Callable[[Bracketed], Value]] = {
    "sort": _sort,
    "unsort": _unsort,
    "rank": _rank,
    "cumsum": _cumsum,
    "topk": _topk,
    "argtopk": _argtopk,
    "cholesky": _matrix(lambda row, column: (row, column)),
    "inv": _matrix(lambda row, column: (row, column)),
    "pinv": _matrix(lambda row, column: (row, column), square=False),
    "inv_sqrt": _matrix(lambda row, column: (row, column)),
    "eigvecs": _matrix(lambda row, column: (row, column)),
    "eigvals": _matrix(lambda row, column: (row,)),
    "logdet": _matrix(lambda row, column: ()),
    "eigmin": _eigmin,
    "spectral_norm": _spectral_norm,
    "solve": _solve,
    "assignment": _assignment,
    "halve": _halve,
    "pyramid": _pyramid,
}
