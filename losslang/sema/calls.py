"""Calls of definitions: arguments bound, parameters given their values, the body evaluated, rows finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from losslang.diagnostics import LosslangError, at_call, error
from losslang.sema.body import evaluate_body
from losslang.sema.brackets import bracket_axes, conditions, evaluated_filter
from losslang.sema.elementwise import lift
from losslang.sema.kinds import label_axis
from losslang.sema.modifiers import Rows, evaluate_modifiers, finish
from losslang.sema.parameters import (
    Request,
    argument,
    bound_value,
    default_of,
    extent,
    group_count,
    takes_list,
    type_text,
    wrong_argument,
)
from losslang.sema.resolve import Sort, bind, sort_of
from losslang.sema.scope import Scope
from losslang.sema.terms import too_large
from losslang.sema.values import Auto, AxisSet, Function, Listed, Network, Primitive, Static, Tensor, Value, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axis

MAX_CALLS = 50_000
"""Calls of definitions in one objective: what they stand for is written out."""


def sort_of_value(value: Value) -> Sort:
    """What kind of argument a value is."""
    match value:
        case Tensor():
            return "tensor" if value.order else "number"
        case Static(value=str()):
            return "string"
        case Static() | Auto():
            return "number"
        case Listed():
            return "tensor"
        case AxisSet():
            return "axes"
        case Function() | Primitive():
            return "function"
        case Network():
            return "network"


def call(
    function: Function,
    arguments: Sequence[ast.Argument],
    scope: Scope,
    span: Span,
    bracket: Sequence[ast.Expression | ast.Rest | ast.NamedIndex] = (),
    condition: ast.Expression | None = None,
) -> Rows:
    """A call of a definition from a scope; a bracket names axes, and may say which of their elements count.

    An error inside a body also points at the call in the user's text.
    """
    scope.session.calls += 1
    if scope.session.calls > MAX_CALLS:
        raise too_large(span, f"more than {MAX_CALLS} calls of definitions")
    try:
        return _call(function, arguments, scope, span, bracket, condition)
    except LosslangError as problem:
        if scope.implicit is None:
            raise
        raise at_call(problem, span) from None


def _call(
    function: Function,
    arguments: Sequence[ast.Argument],
    scope: Scope,
    span: Span,
    bracket: Sequence[ast.Expression | ast.Rest | ast.NamedIndex],
    condition: ast.Expression | None,
) -> Rows:
    definition = function.definition
    given = dict(function.given)
    open_definition = replace(definition, parameters=tuple(p for p in definition.parameters if p.name not in given))
    evaluated: dict[int, Value] = {}

    def sort(expression: ast.Expression) -> Sort:
        if scope.implicit is not None:
            return scope.session.sort(expression)
        evaluated[id(expression)] = scope.session.evaluate(expression, scope)
        return sort_of_value(evaluated[id(expression)])

    bound = bind(open_definition, arguments, sort, modifiers=definition.keyword == "loss")
    sizes = dict(function.sizes)
    for name, expression in bound.sizes.items():
        sizes[name] = extent(name, expression, scope)
    values = dict(given)
    for parameter in definition.parameters:
        if parameter.name in bound.values:
            expression = bound.values[parameter.name]
            values[parameter.name] = (
                evaluated[id(expression)] if id(expression) in evaluated else argument(parameter, expression, scope)
            )
        elif parameter.name not in values and needs_input(parameter) and scope.implicit is not None:
            implicit = scope.implicit(parameter.name)
            if implicit is not None:
                values[parameter.name] = implicit
    if condition is not None:
        values = _filtered(values, bracket, condition, scope)
    spans = {name: expression.span for name, expression in bound.values.items()}
    return _lifted(Request(function, values, spans, span, tuple(bracket), bound.modifiers, sizes), scope)


def _filtered(
    values: dict[str, Value],
    bracket: Sequence[ast.Expression | ast.Rest | ast.NamedIndex],
    condition: ast.Expression,
    scope: Scope,
) -> dict[str, Value]:
    """The arguments under the filter of a bracket, ``norm[d if m](x)``: those that have one of its axes."""
    first = next((value for value in values.values() if isinstance(value, Tensor) and value.order), None)
    if first is None:
        return values
    axes = set(bracket_axes(bracket, first.order, scope))
    kept = tuple(conditions(evaluated_filter(condition, scope).node))
    return {
        name: replace(value, domain=(*value.domain, *kept))
        if isinstance(value, Tensor) and axes & set(value.order)
        else value
        for name, value in values.items()
    }


def needs_input(parameter: ast.Parameter) -> bool:
    """Whether a tensor must be given."""
    return sort_of(parameter) == "tensor" and parameter.default is None


def _lifted(request: Request, scope: Scope) -> Rows:
    """Where a tensor parameter gets a list, the call is made for each element."""
    parameters = {p.name: p for p in request.function.definition.parameters}
    lists = {
        name: value
        for name, value in request.values.items()
        if isinstance(value, Listed) and not takes_list(parameters[name], request.function.definition)
    }
    for name, value in lists.items():
        if not value.axis:
            raise wrong_argument(parameters[name], value, request.place(name), type_text(parameters[name]))
    if not lists:
        return _call_once(request, scope)
    names = list(lists)
    value = lift(
        [lists[name] for name in names],
        lambda row: (
            _call_once(replace(request, values={**request.values, **dict(zip(names, row, strict=True))}), scope).value
        ),
        request.span,
    )
    return Rows(value)


def _call_once(request: Request, caller: Scope) -> Rows:
    definition, environment = request.function.definition, request.function.environment
    path = f"{caller.path}.{definition.name}" if caller.implicit is None else caller.path
    scope = Scope(environment, caller.session, path, sizes=request.sizes)
    scope.foreign = _foreign(request)
    _bind_axis_parameters(request, scope, caller)
    given = [p for p in definition.parameters if p.name in request.values]
    for parameter in sorted(given, key=lambda p: _is_labels(p, request.values[p.name])):
        scope.bind(parameter.name, bound_value(parameter, request.values[parameter.name], request, scope))
    _make_axes(definition, scope)
    for parameter in definition.parameters:
        if parameter.name not in request.values:
            value = default_of(parameter, request, scope)
            scope.bind(parameter.name, bound_value(parameter, value, request, scope))
    _check_some_tensor(request, scope)
    modifiers = evaluate_modifiers(request, scope, caller)
    rows = evaluate_body(definition, scope)
    _hand_over_names(rows.value, request, scope, caller)
    return finish(rows, modifiers, request.span)


def _hand_over_names(value: Value, request: Request, scope: Scope, caller: Scope) -> None:
    """The caller knows the axes that a definition made by the names that they have there."""
    given = _foreign(request)
    for single in value.items if isinstance(value, Listed) else (value,):
        for axis in single.order if isinstance(single, Tensor) else ():
            if axis not in given and scope.sees(axis):
                caller.local.setdefault(axis, scope.name_of(axis))


def _make_axes(definition: ast.Definition, scope: Scope) -> None:
    """Axes whose extent the call gives, and that no argument has: ``old[n, d]`` of a queue.

    What a stack or a range makes is made there.
    """
    bindings = [b for b in definition.bindings if b.axes is not None]
    own = {
        axis.name
        for binding in bindings
        for axis in (binding.axes.axes if binding.axes is not None else ())
        if axis.bound is not None or isinstance(binding.value, ast.ListOf)
    }
    for name, given in scope.sizes.items():
        if name not in scope.axes and name not in own:
            scope.stacked(name, given.size)


def _check_some_tensor(request: Request, scope: Scope) -> None:
    """A loss of numbers only has no rows."""
    definition = request.function.definition
    needed = [p for p in definition.parameters if needs_input(p) and group_count(p)]
    if definition.keyword != "loss" or not needed:
        return
    values = [scope.values.get(p.name) for p in needed]
    if all(isinstance(value, Tensor) and not value.order and not value.node.axes for value in values):
        raise error(
            "LL0302",
            f"{definition.name} gets no tensor: every argument is a number",
            request.span,
            expected=", ".join(f"{p.name}: {type_text(p)}" for p in needed),
            found=", ".join(describe(value) for value in values if value is not None),
            hint="leave one out, and it is an input",
        )


def _is_labels(parameter: ast.Parameter, value: Value) -> bool:
    """Whether a tensor parameter gets labels: the axis that they index is known once the others are bound."""
    declared = isinstance(parameter.type, ast.TensorType) and label_axis(parameter.type) is not None
    return sort_of(parameter) == "tensor" and isinstance(value, Tensor) and (declared or value.kind.name == "label")


def _foreign(request: Request) -> set[Axis]:
    """At first every axis of the arguments; matching declares some of them."""
    found: set[Axis] = set()
    stack = list(request.values.values())
    while stack:
        value = stack.pop()
        if isinstance(value, Tensor):
            found |= {*value.order, *value.node.axes}
        elif isinstance(value, Listed):
            stack += value.items
    return found


def _bind_axis_parameters(request: Request, scope: Scope, caller: Scope) -> None:
    definition = request.function.definition
    if not request.bracket:
        return
    names = [axis.name for axis in definition.axes] or _declared_names(definition)
    first = next((v for v in request.values.values() if isinstance(v, Tensor) and v.order), None)
    if first is None:
        return
    items = request.bracket
    whole = bracket_axes(items, first.order, caller)
    if len(names) == 1:
        scope.declare(names[0] or "", whole)
        return
    if len(names) < len(items):
        raise error(
            "LL0302",
            f"{definition.name} takes {len(names)} axes in brackets",
            request.span,
            found=f"{len(items)} axes",
        )
    for name, item in zip(names, items, strict=False):
        scope.declare(name or "", bracket_axes([item], first.order, caller))


def _declared_names(definition: ast.Definition) -> list[str | None]:
    for parameter in definition.parameters:
        if isinstance(parameter.type, ast.TensorType) and parameter.type.groups:
            return [axis.name for axis in parameter.type.groups[-1]]
    return []
