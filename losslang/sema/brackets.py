"""What stands in brackets: reductions and maps over named axes, and pointwise indexing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from losslang.diagnostics import error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node
from losslang.sema import lists
from losslang.sema.elementwise import lift, operate, tensor
from losslang.sema.scope import Scope
from losslang.sema.values import (
    AxisSet,
    Condition,
    Listed,
    Static,
    Tensor,
    Value,
    axes_text,
    describe,
    merge_orders,
)
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, INT, REAL, Axes, Axis, Kind

Item = ast.Expression | ast.Rest | ast.NamedIndex
Reducer = Callable[[Node, Axes, Node | None], Node]


def _monoid(name: str) -> Reducer:
    return lambda x, over, mask: ops.reduce(name, x, over, mask)


def _count(x: Node, over: Axes, mask: Node | None) -> Node:
    holds = x if mask is None else ops.apply("and", x, mask)
    return ops.reduce("sum", holds, over)


def _variance(x: Node, over: Axes, mask: Node | None) -> Node:
    centred = ops.apply("sub", x, ops.mean(x, over, mask))
    return ops.mean(ops.apply("mul", centred, centred), over, mask)


def _sample_variance(x: Node, over: Axes, mask: Node | None) -> Node:
    """Divided by n - 1; of one element it is 0."""
    centred = ops.apply("sub", x, ops.mean(x, over, mask))
    count = ops.sizes(over, x) if mask is None else ops.reduce("sum", mask, over)
    total = ops.reduce("sum", ops.apply("mul", centred, centred), over, mask)
    return ops.apply("div", total, ops.apply("max", ops.apply("sub", count, ops.const(1)), ops.const(1)))


def _root(of: Reducer) -> Reducer:
    return lambda x, over, mask: ops.apply("sqrt", of(x, over, mask))


def _argmin(x: Node, over: Axes, mask: Node | None) -> Node:
    return ops.reduce("argmax", ops.apply("neg", x), over, mask)


def _logmeanexp(x: Node, over: Axes, mask: Node | None) -> Node:
    count = ops.sizes(over, x) if mask is None else ops.reduce("sum", mask, over)
    return ops.apply("sub", ops.reduce("logsumexp", x, over, mask), ops.apply("log", count))


REDUCTIONS: dict[str, Reducer] = {
    "sum": _monoid("sum"),
    "prod": _monoid("prod"),
    "mean": ops.mean,
    "max": _monoid("max"),
    "min": _monoid("min"),
    "logsumexp": _monoid("logsumexp"),
    "logmeanexp": _logmeanexp,
    "any": _monoid("any"),
    "all": _monoid("all"),
    "count": _count,
    "argmax": _monoid("argmax"),
    "argmin": _argmin,
    "var": _variance,
    "std": _root(_variance),
    "sample_var": _sample_variance,
    "sample_std": _root(_sample_variance),
}


def _log_softmax(x: Node, over: Axes, mask: Node | None) -> Node:
    return ops.apply("sub", x, ops.reduce("logsumexp", x, over, mask))


def _softmax(x: Node, over: Axes, mask: Node | None) -> Node:
    return ops.apply("exp", _log_softmax(x, over, mask))


MAPS: dict[str, tuple[Reducer, str]] = {
    "log_softmax": (_log_softmax, "logprob"),
    "softmax": (_softmax, "prob"),
}
"""Maps that keep their axes, and the kind of their result."""


# ------------------------------------------------------------------------------------------ reductions and maps
def bracketed(
    name: str,
    items: Sequence[Item],
    condition: ast.Expression | None,
    argument: ast.Expression,
    scope: Scope,
    span: Span,
) -> Value:
    """``name[items if condition](argument)`` for a reduction or a map."""
    declare_ranges(items, scope)
    value = scope.naming([item.name for item in items if isinstance(item, ast.Name)], argument)
    where = None if condition is None else filter_value(condition, scope)
    return _over(name, items, where, value, scope, span)


def _over(name: str, items: Sequence[Item], where: Value | None, value: Value, scope: Scope, span: Span) -> Value:
    """A reduction or map of a value; ``where`` is its filter."""
    along = next((i.name for i in items if isinstance(i, ast.Name) and i.name in scope.unrolled), None)
    if along is not None and not isinstance(value, Listed) and along not in scope.axes:
        value = Listed(along, (value,) * scope.unrolled[along])
    if isinstance(value, Listed):
        return _over_list(name, items, where, value, scope, span)
    if isinstance(where, Listed):
        return lift([where], lambda one: _over(name, items, one[0], value, scope, span), span)
    return _over_tensor(name, items, where, tensor(value, span), scope, span)


def _over_tensor(name: str, items: Sequence[Item], where: Value | None, x: Tensor, scope: Scope, span: Span) -> Tensor:
    held = None if where is None else tensor(where, span)
    over = bracket_axes(items, x.order if held is None else merge_orders([x.order, held.order]), scope)
    inner, outer = split_domain(joined([x] if held is None else [x, held]), over)
    mask = conjunction([*(c.node for c in inner), *([] if held is None else [held.node])])
    if name in MAPS:
        function, kind = MAPS[name]
        return Tensor(function(x.node, over, mask), x.order, x.domain, Kind(kind))
    if name in PLACES:
        _check_one_axis(name, over, x, span)
    node = REDUCTIONS[name](_checked(name, x, span), over, mask)
    extra = () if held is None else tuple(axis for axis in held.order if axis not in x.order)
    order = tuple(axis for axis in (*x.order, *extra) if axis not in over)
    bound = over[0] if name in PLACES else None
    kind = INT if node.dtype == "int" else BOOL if node.dtype == "bool" else REAL
    return Tensor(node, order, outer, kind, bound)


PLACES = ("argmax", "argmin")
"""Reductions that give a place on their axis."""


def _check_one_axis(name: str, over: Axes, x: Tensor, span: Span) -> None:
    """A place on an axis: of several axes together there is none."""
    if len(over) != 1 or over[0].rest or over[0] not in x.order:
        raise error(
            "LL0302",
            f"{name} gives the place on one axis",
            span,
            expected=f"one axis of the value: {name}[c](x)",
            found=axes_text(over) or "no axis",
            hint="one axis after the other: the best w of each h first, then the best h",
        )


def _checked(name: str, x: Tensor, span: Span) -> Node:
    """The value in the numbers that a reduction takes."""
    if name in ("any", "all", "count") and x.node.dtype != "bool":
        raise error("LL0307", f"{name} wants conditions", span, expected="bool", found=describe(x))
    whole = name in ("sum", "any", "all", "count") or (x.node.dtype == "int" and name not in ("logsumexp", *PLACES))
    return x.node if whole else ops.apply("real", x.node)


def _over_list(name: str, items: Sequence[Item], where: Value | None, value: Listed, scope: Scope, span: Span) -> Value:
    """A reduction over a list axis is unrolled; one over the axes of its elements is one for each of them."""
    named = [item for item in items if isinstance(item, ast.Name) and item.name == value.axis]
    rest = [item for item in items if item not in named]
    if not named:
        found = (
            _over(name, rest, lists.at(where, value, place), item, scope, span)
            for place, item in enumerate(value.items)
        )
        return replace(value, items=tuple(found))
    if name == "mean" and rest:
        return _pooled(items, where, value, scope, span)
    if name in (*lists.FOLDS, "mean"):
        inner = value if not rest else _over_list(name, rest, where, value, scope, span)
        assert isinstance(inner, Listed)
        return lists.fold(name, inner, where if not rest else _static_part(where), span)
    whole = lists.joined(value, scope, span)
    found = _over_tensor(name, items, where, whole, scope, span)
    return lists.apart(found, whole.order[0], len(value.items), value.axis) if whole.order[0] in found.order else found


def _static_part(where: Value | None) -> Value | None:
    """The part of a filter that the elements themselves do not hold: which of them are there at all."""
    if not isinstance(where, Listed):
        return None
    known = (item if isinstance(item, Static) else Static(True) for item in where.items)
    return Listed(where.axis, tuple(known))


def _pooled(items: Sequence[Item], where: Value | None, value: Listed, scope: Scope, span: Span) -> Value:
    """The mean over a list and the axes of its elements together: of all their numbers, however many each has."""
    ones = lift([value], lambda one: _ones(tensor(one[0], span)), span)
    total, count = (_over("sum", items, where, one, scope, span) for one in (value, ones))
    return operate("div", [total, operate("max", [count, Static(1)], span)], span)


def _ones(x: Tensor) -> Tensor:
    """1 wherever a value is defined."""
    return replace(x, node=ops.apply("add", ops.apply("mul", ops.const(0), ops.apply("real", x.node)), ops.const(1)))


MAX_RANGE = 1_000_000
"""The extent of an index variable over numbers."""


def declare_ranges(items: Sequence[Item | ast.Axis], scope: Scope) -> None:
    """``k < n`` gives a new variable its range: an axis's extent or a number."""
    for item in items:
        match item:
            case ast.Compare(operands=(ast.Name() as name, limit), ops=("<",)):
                _declare_range(name.name, limit, scope)
            case ast.Axis(name=str() as name, bound=limit) if limit is not None:
                _declare_range(name, limit, scope)
            case _:
                pass


def _declare_range(name: str, limit: ast.Expression, scope: Scope) -> None:
    if isinstance(limit, ast.Name) and limit.name in scope.axes and len(scope.axes[limit.name]) == 1:
        scope.variable(name, scope.axes[limit.name][0])
        return
    value = scope.session.evaluate(limit, scope)
    if not isinstance(value, Static) or not isinstance(value.value, int) or not 1 <= value.value <= MAX_RANGE:
        raise error(
            "LL0306",
            f"the range of '{name}' is an axis or a whole number",
            limit.span,
            expected=f"an axis, or 1 to {MAX_RANGE}",
            found=describe(value),
            hint=f"{name} < 10, or {name} < c where c is an axis",
        )
    scope.stacked(name, value.value)


def filter_value(expression: ast.Expression, scope: Scope) -> Value:
    """The condition of a filter; over a list axis, one for each element."""
    value = scope.session.evaluate(expression, scope)

    def check(one: list[Value]) -> Value:
        known = isinstance(one[0], Static) and isinstance(one[0].value, bool)
        return one[0] if known else _as_condition(one[0], expression)

    return lift([value], check, expression.span) if isinstance(value, Listed) else _as_condition(value, expression)


def evaluated_filter(expression: ast.Expression, scope: Scope) -> Tensor:
    """The condition of a filter.

    Raises:
        LosslangError: LL0307 for what is no condition.
    """
    return _as_condition(scope.session.evaluate(expression, scope), expression)


def _as_condition(value: Value, expression: ast.Expression) -> Tensor:
    where = tensor(value, expression.span)
    if where.node.dtype != "bool":
        raise error(
            "LL0307",
            "a filter is a condition",
            expression.span,
            expected="a comparison, such as x > 0",
            found=describe(where),
            hint=f"compare it: {expression.span.text} > 0",
        )
    return where


def bracket_axes(items: Sequence[Item], order: Axes, scope: Scope) -> Axes:
    """The axes that a bracket names, for a value with this order."""
    found: list[Axis] = []
    for item in items:
        match item:
            case ast.Rest():
                found += [axis for axis in scope.find(f"...{item.name}", order, item.span) if axis not in found]
            case ast.Name() if isinstance(scope.values.get(item.name), AxisSet):
                names = scope.values[item.name]
                assert isinstance(names, AxisSet)
                found += [axis for name in names.names for axis in scope.find(name, order, item.span)]
            case ast.Name():
                found += scope.find(item.name, order, item.span)
            case ast.Compare(operands=(ast.Name() as name, _), ops=("<",)):
                found += scope.axes[name.name]
            case _:
                named = isinstance(item, ast.NamedIndex)
                raise error(
                    "LL0204",
                    "a bracket names axes",
                    item.span,
                    expected="axis names, such as [b, c]",
                    found=item.span.text,
                    hint=f"options stand in parentheses: ({item.span.text})" if named else None,
                )
    return tuple(found)


def conjunction(nodes: Sequence[Node]) -> Node | None:
    """All conditions together, or None where there is none."""
    if not nodes:
        return None
    whole = nodes[0]
    for node in nodes[1:]:
        whole = ops.apply("and", whole, node)
    return whole


def joined(tensors: Sequence[Tensor]) -> tuple[Condition, ...]:
    """The conditions under which all of some values are defined."""
    return tuple(dict.fromkeys(condition for x in tensors for condition in x.domain))


def split_domain(domain: tuple[Condition, ...], over: Axes) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """The conditions that a reduction over axes consumes, and those that stay on its result."""
    inner = tuple(condition for condition in domain if set(condition.node.axes) & set(over))
    return inner, tuple(condition for condition in domain if condition not in inner)


def conditions(node: Node) -> list[Condition]:
    """A condition as its conjuncts."""
    if ops.is_op(node, "and"):
        return [c for arg in node.args for c in conditions(arg)]
    return [] if isinstance(node, ir.Const) and node.value else [Condition(node)]


# ------------------------------------------------------------------------------------------ indexing
def indexed(node: ast.Index, scope: Scope) -> Value:
    """``base[items]``: pointwise."""
    base = scope.session.evaluate(node.base, scope)
    if node.filter is not None:
        raise error("LL0309", "a filter belongs to a reduction or a binding, not to an index", node.filter.span)
    return index_into(base, node.items, scope, node.span)


def index_into(base: Value, items: Sequence[Item], scope: Scope, span: Span) -> Value:
    """A value at the places that items say."""
    if isinstance(base, Listed):
        return _index_list(base, items, scope, span)
    x = tensor(base, span)
    positions: dict[Axis, Tensor] = {}
    free = list(scope.visible(x.order))
    for item in items:
        if isinstance(item, ast.Rest):
            break
        axis, position = _position(item, x, free, scope, span)
        if axis in positions:
            raise error(
                "LL0302",
                f"axis '{scope.name_of(axis)}' is indexed twice",
                item.span,
                expected="one place for each axis",
                found=f"{item.span.text}, which names the same axis as an index before it",
                hint="an index that names its axis: x[c=i]",
            )
        positions[axis] = position
        free = [other for other in free if other != axis]
    return take(x, positions, scope)


def _position(item: Item, x: Tensor, free: list[Axis], scope: Scope, span: Span) -> tuple[Axis, Tensor]:
    """The axis that an item indexes, and where."""
    if isinstance(item, ast.NamedIndex):
        found = [axis for axis in scope.find(item.name, x.order, item.span) if axis in x.order]
        if len(found) != 1:
            raise error("LL0204", f"this value has no axis '{item.name}'", item.span, found=describe(x))
        return found[0], _place(item.value, found[0], scope)
    assert not isinstance(item, ast.Rest)
    typed = _typed(item, x, free, scope)
    if typed is not None:
        return typed
    if not free:
        raise error(
            "LL0302",
            "more indices than the value has axes",
            item.span,
            expected=f"{len(scope.visible(x.order))} or fewer",
            found=describe(x),
            hint="an index that names its axis: x[c=i]",
        )
    return free[0], _place(item, free[0], scope)


def _typed(item: ast.Expression, x: Tensor, free: Sequence[Axis], scope: Scope) -> tuple[Axis, Tensor] | None:
    """An integer whose type names its axis (``labels < c``) finds it by itself, or the one that has its extent."""
    if isinstance(item, ast.Name) and item.name in scope.axes and item.name not in scope.values:
        return None
    if isinstance(item, ast.Name) and item.name not in scope.values:
        return None
    value = scope.session.evaluate(item, scope)
    if not isinstance(value, Tensor) or value.bound is None:
        return None
    matches = [a for a in x.order if a.root == value.bound.root and (a in free or not scope.sees(a))]
    matches = [value.bound] if value.bound in matches else matches
    if len(matches) != 1:
        return None
    if isinstance(value.node, ir.Const):
        _check_place(int(value.node.value), matches[0], item.span)
    return matches[0], value


def _place(item: ast.Expression, axis: Axis, scope: Scope) -> Tensor:
    if isinstance(item, ast.Name) and item.name not in scope.values:
        variables = scope.variable_over(item.name, axis)
        if len(variables) == 1:
            _check_variable(item, variables[0], axis, scope)
            return Tensor(ops.iota(variables[0]), variables, kind=INT, bound=variables[0])
    value = tensor(scope.session.evaluate(item, scope), item.span)
    if _is_whole(value.node):
        value = replace(value, node=ops.apply("int", value.node), kind=INT)
    if value.node.dtype != "int":
        raise error("LL0307", "an index is an integer", item.span, expected="int", found=describe(value))
    if isinstance(value.node, ir.Const):
        _check_place(int(value.node.value), axis, item.span)
    return value


def _is_whole(node: Node) -> bool:
    """Whether a real is a whole number by what it is made of: ``i + round(sqrt(size(i)))``."""
    if not isinstance(node, ir.Op) or node.name in ("floor", "ceil", "round"):
        return isinstance(node, ir.Op)
    arithmetic = node.name in ("add", "sub", "mul", "neg", "max", "min", "clamp", "mark")
    return arithmetic and all(arg.dtype == "int" or _is_whole(arg) for arg in node.args)


def _check_variable(item: ast.Name, variable: Axis, axis: Axis, scope: Scope) -> None:
    """A variable that indexing made runs over one axis: over another it would end too early, or point outside."""
    one, other = variable.root, axis.root
    if one == other or variable.ordinal == 0 or (one.size is not None and one.size == other.size):
        return
    raise error(
        "LL0302",
        f"'{item.name}' is an index of '{scope.name_of(one)}', and this axis is '{scope.name_of(other)}'",
        item.span,
        expected=f"a variable of its own for the axis '{scope.name_of(other)}'",
        found=f"'{item.name}', which runs over '{scope.name_of(one)}'",
        hint=f"another name, such as {item.name}2; axes that are one have one name in the types",
    )


def _check_place(place: int, axis: Axis, span: Span) -> None:
    """A place that is written out is inside its axis, as far as the extent is known."""
    if axis.rest:
        raise error(
            "LL0309",
            "the dimensions '...' have no single place",
            span,
            expected="an axis with a name",
            found=f"place {place} of '...'",
            hint="name the axis: declare x: real[b, c] in place of real[b, ...]",
        )
    size = axis.root.size
    if place < 0 or (size is not None and place >= size):
        raise error(
            "LL0305",
            f"there is no place {place} on axis '{axis}'",
            span,
            expected=f"0 to {size - 1}" if size is not None else "0 or more",
            found=str(place),
            hint=f"the last place is size({axis}) - 1" if place < 0 else None,
        )


def _index_list(base: Listed, items: Sequence[Item], scope: Scope, span: Span) -> Value:
    """``x[d, l]`` of a list: the first index is that of the list axis, the others are those of its elements."""
    first, *rest = items
    match first:
        case ast.NamedIndex(name=base.axis, value=place):
            chosen = _elements(base, place, scope)
        case ast.Name(name=name) if name in scope.lists.get(base.axis, ()):
            chosen = base.items[scope.lists[base.axis].index(name)]
        case ast.NamedIndex() | ast.Rest():
            chosen, rest = _Kept(base), list(items)
        case ast.Name(name=name) if name in scope.axes and name not in scope.values:
            chosen, rest = _Kept(base), list(items)
        case _:
            chosen = _elements(base, first, scope)

    def inside(value: Value) -> Value:
        return index_into(value, rest, scope, span) if rest else value

    if isinstance(chosen, _Kept):
        return replace(chosen.value, items=tuple(map(inside, chosen.value.items)))
    return inside(chosen)


@dataclass(frozen=True)
class _Kept:
    """A list of which an index takes elements, as opposed to an element that is a list."""

    value: Listed


def _elements(base: Listed, place: ast.Expression, scope: Scope) -> Value | _Kept:
    """One element, or a list of them: ``x[l]``, ``x[0]``, ``x[l + 1]``."""
    fresh = isinstance(place, ast.Name) and place.name not in scope.values and place.name not in scope.unrolled
    if isinstance(place, ast.Name) and (place.name == base.axis or fresh):
        lists.unrolled(place.name, len(base.items), scope, place.span)
        return _Kept(replace(base, axis=place.name))
    where = scope.session.evaluate(place, scope)

    def pick(one: Value) -> Value:
        known = one.value if isinstance(one, Static) else None
        if not isinstance(known, int) or isinstance(known, bool):
            raise error(
                "LL0306",
                f"a place in a list is known when the objective is compiled, and '{place.span.text}' is not",
                place.span,
                expected=f"a number, or an index over '{base.axis}'",
                found=describe(one),
                hint="elements of a list may differ in shape; stack them first where they do not",
            )
        return _element(base, known, place.span)

    return _Kept(replace(where, items=tuple(map(pick, where.items)))) if isinstance(where, Listed) else pick(where)


def _element(base: Listed, place: int, span: Span) -> Value:
    if not 0 <= place < len(base.items):
        raise error(
            "LL0305",
            f"there is no element {place}",
            span,
            expected=f"0 to {len(base.items) - 1}",
            found=str(place),
            hint=f"the list over '{base.axis}' has {len(base.items)} elements",
        )
    return base.items[place]


def take(x: Tensor, positions: dict[Axis, Tensor], scope: Scope) -> Tensor:
    """Pointwise indexing of a value: node, order and domain."""
    nodes = {axis: position.node for axis, position in positions.items()}
    order: list[Axis] = []
    for axis in x.order:
        for new in positions[axis].order if axis in positions else (axis,):
            if new not in order:
                order.append(new)
    domain = [
        Condition(part.node, condition.mask)
        for condition in x.domain
        for part in conditions(always(ops.index(condition.node, nodes)))
    ]
    domain += [condition for position in positions.values() for condition in position.domain]
    for axis, position in positions.items():
        domain += [condition for condition in position.domain if condition not in domain]
        if _may_leave(position, axis):
            inside = _below(position.node, axis)
            if not isinstance(position.node, ir.Iota):
                inside = ops.apply("and", ops.apply("le", ops.const(0), position.node), inside)
            domain += [Condition(part.node, True) for part in conditions(always(inside))]
    bound = next((positions[a].order[0] for a in positions if a == x.bound and len(positions[a].order) == 1), x.bound)
    node = ops.index(x.node, nodes)
    known = tuple(dict.fromkeys(domain))
    return replace(x, node=node, order=tuple(order), domain=known, bound=bound, rows=None)


def _below(position: Node, axis: Axis) -> Node:
    return ops.apply("lt", position, ops.size(axis))


def _may_leave(position: Tensor, axis: Axis) -> bool:
    """Whether an index is arithmetic on variables (``h + 1``) or one over another axis: what falls outside is absent.

    Data must be in range.
    """
    node = position.node
    if isinstance(node, ir.Iota):
        return node.axes[0].root != axis.root
    return isinstance(node, ir.Op) and all(
        isinstance(n, (ir.Op, ir.Iota, ir.Const, ir.Size)) for n in ir.topological([node])
    )


def always(condition: Node) -> Node:
    """``true`` in place of a condition on one short axis that holds everywhere."""
    values = ops.enumerate_static(condition)
    return ops.const(True) if values is not None and all(values) else condition
