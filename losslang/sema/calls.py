"""Calls of definitions: arguments bound, parameters given their values, the body evaluated, rows finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from losslang.diagnostics import LosslangError, at_call, error
from losslang.sema import lists
from losslang.sema.body import evaluate_body
from losslang.sema.brackets import bracket_axes, conditions, evaluated_filter
from losslang.sema.elementwise import lift, operate, tensor
from losslang.sema.kinds import label_axis
from losslang.sema.limits import too_large
from losslang.sema.modifiers import Result, evaluate_modifiers, finish, reduced
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
from losslang.sema.resolve import Sort, axis_names, bind, needs_input, sort_of
from losslang.sema.scope import Extent, Scope
from losslang.sema.values import (
    Auto,
    AxisSet,
    Combination,
    Complex,
    Function,
    Listed,
    Model,
    Network,
    Primitive,
    Rows,
    Static,
    Tensor,
    Value,
    describe,
    merge_orders,
)
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes, Axis

MAX_CALLS = 100_000
"""Calls of definitions in one objective: what they stand for is written out."""


Bracket: TypeAlias = Sequence[ast.Expression | ast.Rest | ast.NamedIndex]


def call_value(
    function: Function,
    arguments: Sequence[ast.Argument],
    scope: Scope,
    span: Span,
    bracket: Bracket = (),
    condition: ast.Expression | None = None,
) -> Value:
    """A call inside an expression."""
    return _reduced(call(function, arguments, scope, span, bracket, condition), span)


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
            return sort_of_value(value.items[0]) if value.axis and value.items else "tensor"
        case Complex():
            return "tensor"
        case AxisSet():
            return "axes"
        case Function() | Primitive():
            return "function"
        case Network():
            return "network"
        case Model():
            return "model"


def call(
    function: Function,
    arguments: Sequence[ast.Argument],
    scope: Scope,
    span: Span,
    bracket: Bracket = (),
    condition: ast.Expression | None = None,
) -> Result:
    """A call of a definition from a scope: its rows, and how they are to be reduced.

    A bracket names axes, and may say which of their elements count.

    An error inside a body also points at the call in the user's text.
    """
    scope.session.calls += 1
    if scope.session.calls > MAX_CALLS:
        first = scope.session.calls == MAX_CALLS + 1
        raise too_large(span, f"more than {MAX_CALLS} calls of definitions") if first else LosslangError(())
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
    bracket: Bracket,
    condition: ast.Expression | None,
) -> Result:
    definition = function.definition
    given = dict(function.given)
    open_definition = definition
    if given:
        left = tuple(p for p in definition.parameters if p.name not in given)
        open_definition = replace(definition, parameters=left)
        # what a loss value has been given stays: mine=semihard(margin=0.2) has a margin of its own
        arguments = [argument for argument in arguments if argument.name not in given]
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
    bracket: Bracket,
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


def _lifted(request: Request, scope: Scope) -> Result:
    """Where a tensor parameter gets a list, the call is made for each element."""
    parameters = {p.name: p for p in request.function.definition.parameters}
    given = {
        name: value
        for name, value in request.values.items()
        if isinstance(value, Listed) and not takes_list(parameters[name], request.function.definition)
    }
    for name, value in list(given.items()):
        if not value.axis and sort_of(parameters[name]) != "tensor":
            raise wrong_argument(parameters[name], value, request.place(name), type_text(parameters[name]))
        if not value.axis:
            del given[name]
    if not given:
        return _call_once(request, scope)
    names = list(given)
    along = {item.name for item in request.bracket if isinstance(item, ast.Name)}
    if any(value.axis in along for value in given.values()):
        return _along(request, {name: value for name, value in given.items() if value.axis in along}, scope)
    value = lift([given[name] for name in names], lambda row: _element(names, row, request, scope), request.span)
    return Result(value)


def _along(request: Request, given: dict[str, Listed], scope: Scope) -> Result:
    """``norm[l](x)``: a function along a list axis has the elements side by side."""
    whole = {name: lists.joined(value, scope, request.place(name)) for name, value in given.items()}
    result = _lifted(replace(request, values={**request.values, **whole}), scope)
    first = next(iter(given))
    axis, x = whole[first].order[0], result.value
    if not isinstance(x, Tensor) or axis not in x.order:
        return result
    return replace(result, value=lists.apart(x, axis, len(given[first].items), given[first].axis))


def _element(names: Sequence[str], row: Sequence[Value], request: Request, scope: Scope) -> Value:
    values = {**request.values, **dict(zip(names, row, strict=True))}
    return _reduced(_call_once(replace(request, values=values), scope), request.span)


def _reduced(result: Result, span: Span) -> Value:
    """The rows of a call inside an expression: they stay, unless the call says how they are reduced."""
    if result.reduce is None:
        return result.value

    def apply(single: list[Value]) -> Value:
        x = tensor(single[0], span)
        own = None if x.rows is None else tuple(axis for axis in x.order if axis in x.rows.axes)
        return reduced(x, result.reduce, span, own)

    return lift([result.value], apply, span)


def _call_once(request: Request, caller: Scope) -> Result:
    if request.function.combination is not None:
        return _combined(request, request.function.combination, caller)
    definition, environment = request.function.definition, request.function.environment
    path = f"{caller.path}.{definition.name}" if caller.implicit is None else caller.path
    scope = Scope(environment, caller.session, path, sizes=request.sizes, binder=caller.binder)
    scope.foreign = _foreign(request)
    scope.order = _argument_order(request)
    _bind_axis_parameters(request, scope, caller)
    given = [p for p in definition.parameters if p.name in request.values]
    for parameter in sorted(given, key=lambda p: _turn(p, request.values[p.name])):
        scope.bind(parameter.name, bound_value(parameter, request.values[parameter.name], request, scope))
    _make_axes(definition, scope)
    for parameter in definition.parameters:
        if parameter.name not in request.values:
            value = default_of(parameter, request, scope)
            scope.bind(parameter.name, bound_value(parameter, value, request, scope))
    _spread(definition, request, scope)
    _check_some_tensor(request, scope)
    modifiers = evaluate_modifiers(request, scope, caller)
    value = evaluate_body(definition, scope, rows=request.rows or definition.keyword == "loss")
    _hand_over_names(value, request, scope, caller)
    return finish(value, modifiers, request.span)


def _hand_over_names(value: Value, request: Request, scope: Scope, caller: Scope) -> None:
    """The caller knows the axes that a definition made by the names that they have there."""
    given = _foreign(request)
    for single in value.items if isinstance(value, Listed) else (value,):
        for axis in single.order if isinstance(single, Tensor) else ():
            if axis not in given and scope.sees(axis):
                caller.local.setdefault(axis, scope.name_of(axis))


def _combined(request: Request, combination: Combination, caller: Scope) -> Result:
    """Arithmetic on losses: each gets the arguments that it takes, and its own defaults for the rest."""
    keyword = request.function.definition.keyword
    inner = {name: value for name, value in request.modifiers.items() if name in ("mask", "ignore")}
    values: list[Value] = []
    for operand in combination.operands:
        if isinstance(operand, Function):
            given = dict(operand.given)
            takes = {p.name for p in operand.definition.parameters if p.name not in given}
            named = axis_names(operand.definition)
            part = replace(
                request,
                function=operand,
                values={**given, **{name: value for name, value in request.values.items() if name in takes}},
                modifiers=inner,
                rows=keyword == "loss",
                sizes={**dict(operand.sizes), **{n: size for n, size in request.sizes.items() if n in named}},
            )
            values.append(_lifted(part, caller).value)
        else:
            values.append(operand)
    outer = {name: value for name, value in request.modifiers.items() if name not in inner}
    value = operate(combination.operation, values, request.span)
    if keyword == "loss":
        value = lift([value, *values], lambda row: _rows_of(request.function.definition.name, row), request.span)
    return finish(value, evaluate_modifiers(replace(request, modifiers=outer), caller, caller), request.span)


def _rows_of(name: str, values: list[Value]) -> Value:
    """The rows of a combination, the first value, over the axes of the rows of its parts."""
    x, *parts = values
    held = [part.rows.axes for part in parts if isinstance(part, Tensor) and part.rows is not None]
    return replace(x, rows=x.rows or Rows(name, frozenset[Axis]().union(*held))) if isinstance(x, Tensor) else x


def _spread(definition: ast.Definition, request: Request, scope: Scope) -> None:
    """What a parameter along a list axis holds, for each element: a number, or a place of a vector."""
    for parameter in definition.parameters:
        match parameter.type, scope.values.get(parameter.name):
            case ast.TensorType(groups=((ast.Axis(name=str() as name),),)), Tensor() as x if name in scope.unrolled:
                count = scope.unrolled[name]
                if not x.order:
                    scope.values[parameter.name] = Listed(name, (x,) * count)
                    continue
                scope.session.require(x.order[-1], Extent(name, count, request.place(parameter.name)))
                scope.values[parameter.name] = lists.apart(x, x.order[-1], count, name)
            case _:
                pass
    for name in scope.unrolled:
        scope.axes.pop(name, None)


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
        if name not in scope.axes and name not in own and name not in scope.unrolled:
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


def _turn(parameter: ast.Parameter, value: Value) -> int:
    """When an argument is bound: tensors bring the axes, which labels index and written lists are along.

    A tensor that is learned waits for all axes.
    """
    if isinstance(value, Listed):
        return 1 if value.axis else 3
    if sort_of(parameter) != "tensor" or not isinstance(value, Static | Tensor | Auto):
        return 0
    declared = isinstance(parameter.type, ast.TensorType) and label_axis(parameter.type) is not None
    labels = declared or isinstance(value, Tensor) and value.kind.name == "label"
    return 4 if isinstance(value, Auto) else 2 if labels else 0


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


def _argument_order(request: Request) -> Axes:
    """The axes of the arguments, merged in the order of the parameters."""
    values = [request.values[p.name] for p in request.function.definition.parameters if p.name in request.values]
    return merge_orders([value.order for value in values if isinstance(value, Tensor)])


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
