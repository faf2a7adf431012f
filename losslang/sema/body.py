"""The body of a definition: index variables, bindings, stacks, the result and its filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from losslang.diagnostics import Problems, error
from losslang.ir import ops
from losslang.sema import learning, lists
from losslang.sema.brackets import conditions, declare_ranges, evaluated_filter
from losslang.sema.elementwise import lift, tensor
from losslang.sema.memory import settled
from losslang.sema.modifiers import over_the_rest
from losslang.sema.scope import Scope
from losslang.sema.values import Auto, AxisSet, Condition, Listed, Rows, Static, Tensor, Value, axes_text
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import INT, Axes, Axis


def evaluate_body(definition: ast.Definition, scope: Scope, *, rows: bool) -> Value:
    """What a definition gives in the scope of a call; ``rows`` says that it is to be reduced."""
    return settled(scope, bindings_of(definition), lambda: _evaluate(definition, scope, rows))


def bindings_of(definition: ast.Definition) -> dict[str, ast.Binding]:
    """The bindings of a definition by name."""
    return {binding.name: binding for binding in definition.bindings}


def _evaluate(definition: ast.Definition, scope: Scope, rows: bool) -> Value:
    _learn_variables(definition, scope)
    problems = Problems()
    for binding in definition.bindings:
        scope.attempt(binding, partial(bind_value, binding, scope), problems)
        if definition.span.source.library:
            problems.check()  # the library is right: whatever else does not fit follows from this
    value = problems.attempt(partial(_value, definition, scope, rows))
    problems.check()
    assert value is not None
    return value


def _value(definition: ast.Definition, scope: Scope, rows: bool) -> Value:
    value = scope.session.evaluate(definition.value, scope)
    value = lift([value], lambda single: _result(single[0], definition, scope), definition.value.span)
    normaliser = None
    if definition.normaliser is not None:
        normaliser = tensor(scope.session.evaluate(definition.normaliser, scope), definition.normaliser.span)
        normaliser = None if ops.is_const(normaliser.node, 1) else normaliser
    if rows:
        value = lift([value], lambda single: _as_rows(single[0], definition, normaliser, scope), definition.span)
    return value


def _as_rows(value: Value, definition: ast.Definition, normaliser: Tensor | None, scope: Scope) -> Tensor:
    """Rows of the definition; those of a loss that it calls keep what their mean divides by."""
    x = tensor(value, definition.value.span)
    rows = Rows(definition.name, frozenset(scope.visible(x.order)), normaliser)
    if x.rows is not None and definition.normaliser is None:
        rows = replace(rows, normaliser=x.rows.normaliser, clash=x.rows.clash)
    return replace(x, rows=rows)


def _learn_variables(definition: ast.Definition, scope: Scope) -> None:
    """Index variables of parameters are known before they are compared: ``i != j and labels[i] == labels[j]``."""
    for name, axis in scope.session.once(definition, _variables):
        axes = scope.axes.get(axis, ())
        if len(axes) == 1 and name not in scope.axes and name not in scope.values:
            scope.variable(name, axes[0])


def _variables(definition: ast.Definition) -> list[tuple[str, str]]:
    """The names that index a parameter in a definition's text, and the declared axes where they stand.

    What a binding makes along an axis of its own, as in ``both[m] = concat[f, g](a, b)``, is that axis from there on.
    """
    types = [(p.name, p.type) for p in definition.parameters if isinstance(p.type, ast.TensorType) and p.type.groups]
    lists_of = {name: len(declared.groups) - 1 for name, declared in types}
    declared = {name: declared.groups[-1] for name, declared in types}
    others = {binding.name for binding in definition.bindings}
    found: dict[tuple[str, str], None] = {}

    def learn(expression: ast.Expression) -> None:
        for node in indices(expression):
            base = node.base.name if isinstance(node.base, ast.Name) else ""
            items = node.items[lists_of.get(base, 0) :]
            for axis, item in zip(declared.get(base, ()), items, strict=False):
                if isinstance(item, ast.Name) and item.name not in others:
                    found[item.name, axis.name or ""] = None

    known = {axis.name for axes in declared.values() for axis in axes}
    for binding in definition.bindings:
        left = binding.axes.axes if binding.axes is not None else ()
        others |= {axis.name or "" for axis in left if axis.bound is not None}
        learn(binding.value)
        mentioned = {node.name for node in ast.walk(binding.value) if isinstance(node, ast.Name)}
        others |= {axis.name or "" for axis in left} - mentioned - known - {name for name, _ in found}
    for expression in (*_filters(definition), definition.value):
        learn(expression)
    return list(found)


def _filters(definition: ast.Definition) -> list[ast.Expression]:
    found = [b.axes.filter for b in definition.bindings if b.axes is not None and b.axes.filter is not None]
    if definition.result is not None and definition.result.filter is not None:
        found.append(definition.result.filter)
    return found


def indices(expression: ast.Expression) -> list[ast.Index]:
    """Every index expression inside, in order of the text."""
    return [node for node in ast.walk(expression) if isinstance(node, ast.Index)]


def bind_value(binding: ast.Binding, scope: Scope) -> Value:
    """The value of ``name[axes if filter] = expression``."""
    scope = replace(scope, left=binding)
    if binding.axes is None:
        value = scope.session.evaluate(binding.value, scope)
        return _learned(binding, value, (), scope) if isinstance(value, Auto) else value
    declare_ranges(binding.axes.axes, scope)
    names = [axis.name or "" for axis in binding.axes.axes]
    if isinstance(binding.value, ast.ListOf) and names[0] not in scope.unrolled:
        value = _stack(binding.value, names, scope)
    else:
        value = scope.naming([name for name in names if not name.startswith("...")], binding.value)
    if isinstance(value, Auto):
        return _learned(binding, value, names, scope)
    return _bound(value, names, binding, scope)


def _bound(value: Value, names: Sequence[str], binding: ast.Binding, scope: Scope) -> Value:
    """A value under the axes on the left; a list takes the name of its axis from there."""
    assert binding.axes is not None
    if isinstance(value, Listed):
        axis = value.axis if value.axis in names or not names else names[0]
        lists.unrolled(axis, len(value.items), scope, binding.span)
        rest = [name for name in names if name != axis]
        return Listed(axis, tuple(_bound(item, rest, binding, scope) for item in value.items))
    if isinstance(value, Static) and not names:
        return value
    x = tensor(value, binding.span)
    x = over_the_rest(x, _declared(names, x, scope, binding.axes.span), scope, binding.span)
    x = replace(x, order=_declared_order(names, x, scope, binding.axes.span))
    if binding.axes.filter is not None:
        x = replace(x, domain=(*x.domain, *_filter(binding.axes.filter, scope)))
    return x


def _learned(binding: ast.Binding, value: Auto, names: Sequence[str], scope: Scope) -> Value:
    """``s[k] = auto(0)``: a learned value with the axes on the left."""
    missing = next((name for name in names if name not in scope.axes), None)
    if missing is not None:
        raise error(
            "LL0306",
            f"nothing says how long the axis '{missing}' of '{binding.name}' is",
            binding.span,
            expected="an axis of a parameter, or an extent that the call gives",
            found=missing,
            hint=f"give it where the loss is used, {missing}=100, or write its range: {missing} < 100",
        )
    key = scope.key(binding.name) if scope.implicit is None else binding.name
    dims = tuple(axis for name in names for axis in scope.axes[name])
    return learning.learned(key, value.init if value.init is not None else 0.0, dims, binding.span, scope)


def _declared_order(names: Sequence[str], x: Tensor, scope: Scope, span: Span) -> Axes:
    """The axes on the left come first, in their order; those not named there follow."""
    declared = _declared(names, x, scope, span)
    through = tuple(axis for axis in x.order if not scope.sees(axis) and axis not in declared)
    unnamed = tuple(axis for axis in scope.visible(x.order) if axis not in declared)
    return (*through, *declared, *unnamed)


def _declared(names: Sequence[str], x: Tensor, scope: Scope, span: Span) -> Axes:
    return tuple(axis for name in names for axis in scope.introduce(name, x.order, span))


def _stack(node: ast.ListOf, names: Sequence[str], scope: Scope) -> Value:
    """``z[v, i] = [z1, z2]``: the axis on the left that the items lack is the new one."""
    items = [scope.session.evaluate(item, scope) for item in node.items if not isinstance(item, ast.Rest)]
    if not items:
        raise error(
            "LL0302", "an empty list has no shape", node.span, expected="one element or more", hint="write it: [x, y]"
        )
    tensors = [tensor(item, node.span) for item in items]
    known = {axis for x in tensors for axis in x.order}
    own = {axis.name for axis in known if scope.made(axis)} | {scope.local.get(axis) for axis in known}
    new = [
        name
        for name in names
        if not name.startswith("...") and name not in own and not set(scope.axes.get(name, ())) & known
    ]
    if len(new) != 1:
        raise error(
            "LL0302",
            "a list is stacked along one new axis, named on the left",
            node.span,
            expected="one axis that the elements do not have",
            found=", ".join(new) or "none",
            hint="on the left stand the new axis and those of the elements: z[v, i] = [z1, z2]",
        )
    axis = lists.along(new[0], len(tensors), scope, node.span)
    if any(set(x.domain) != set(tensors[0].domain) for x in tensors):
        raise error(
            "LL0304",
            "values with different filters cannot be stacked",
            node.span,
            expected="values that are defined for the same elements",
            hint="reduce them first",
        )
    orders = [axis, *(a for x in tensors for a in x.order)]
    stacked = ops.stack(axis, [x.node for x in tensors])
    return Tensor(stacked, tuple(dict.fromkeys(orders)), tensors[0].domain, tensors[0].kind)


def _result(value: Value, definition: ast.Definition, scope: Scope) -> Value:
    """The value of a definition with the axes and the filter of its result."""
    if definition.result is None:
        if isinstance(value, Tensor):
            value = replace(value, order=_placed(scope.visible(value.order), value, scope))
        return value
    x = tensor(value, definition.value.span)
    declared: list[Axis] = []
    consumed = {name for v in scope.values.values() if isinstance(v, AxisSet) for name in v.names}
    for axis in definition.result.axes:
        if axis.is_rest and axis.name not in scope.axes:
            continue
        if axis.name in consumed and not set(scope.axes.get(axis.name or "", ())) & set(x.order):
            continue  # the call chose to reduce it: dice(over=[b, ...]) has no rows of b
        declared += scope.introduce(axis.name or "", x.order, axis.span)
    x = over_the_rest(x, declared, scope, definition.value.span)
    stray = [axis for axis in scope.visible(x.order) if axis not in declared]
    if stray:
        raise error(
            "LL0302",
            f"the result also has the axis '{scope.name_of(stray[0])}'",
            definition.value.span,
            expected=axes_text(tuple(declared)),
            found=axes_text(x.order),
            hint=f"reduce it: mean[{scope.name_of(stray[0])}](...)",
        )
    x = replace(x, order=_placed(tuple(declared), x, scope))
    if definition.result.filter is not None:
        x = replace(x, domain=(*x.domain, *_filter(definition.result.filter, scope)))
    return x


def _placed(own: Axes, x: Tensor, scope: Scope) -> Axes:
    """The axes of a result: its own in this order, where they are in the arguments; there is also what passes through.

    So that ``y[i, 2]`` of ``y = standardise[i](x)`` is the element that stands there in x.
    """
    waiting = list(own)
    order = [axis for axis in x.order if axis not in own and axis not in scope.order]
    for axis in scope.order:
        if axis in own:
            order.append(waiting.pop(0))
        elif axis in x.order:
            order.append(axis)
    return (*order, *waiting)


def _filter(expression: ast.Expression, scope: Scope) -> list[Condition]:
    where = evaluated_filter(expression, scope)
    return [*where.domain, *conditions(where.node)]


def iota(axes: Axes) -> Tensor:
    """An axis's index variable as a value."""
    return Tensor(ops.iota(axes[0]), axes, kind=INT, bound=axes[0])
