"""An argument as the value of its parameter: checked, converted, bounded or learned, its axes matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from losslang.diagnostics import LosslangError, did_you_mean, error, renamed
from losslang.ir import ops
from losslang.sema import chance, kinds, learning, lists
from losslang.sema.brackets import take
from losslang.sema.elementwise import lift, tensor
from losslang.sema.model import as_wanted
from losslang.sema.resolve import axis_names, needs_input, sort_of, unknown_parameter
from losslang.sema.scope import Extent, Scope
from losslang.sema.values import (
    NONE,
    Auto,
    AxisSet,
    Function,
    Listed,
    Model,
    Network,
    Primitive,
    Static,
    Tensor,
    Value,
    describe,
)
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import INT, Axes, Axis


def argument(parameter: ast.Parameter, expression: ast.Expression, scope: Scope) -> Value:
    """An argument's value, read in the light of its parameter: choices and axis sets are names of their own."""
    match parameter.type, expression:
        case ast.ChoiceType(options=options), ast.Name(name=name) if name not in scope.values:
            if name in options:
                return Static(name)
            raise _no_choice(parameter, options, expression.span, name, did_you_mean(name, options))
        case ast.TensorType(kind="axes"), ast.ListOf():
            return AxisSet(tuple(_axis_name(item) for item in expression.items))
        case ast.TensorType(kind="loss" | "fn"), ast.Call(callee=ast.Name(name=name)) if name not in scope.values:
            open_ = replace(scope, implicit=None)
            function = scope.session.evaluate(expression.callee, open_) if scope.environment.find(name) else None
            if isinstance(function, Function) and all(argument.name for argument in expression.arguments):
                return partial(function, expression, open_)
            return scope.session.evaluate(expression, open_)
        case ast.FunctionType(), ast.Call(callee=ast.Name(name=name)) if name not in scope.values:
            function = scope.environment.find(name)
            if isinstance(function, ast.Definition) and is_partial(function, expression):
                return partial(Function(function, scope.environment.home(function)), expression, scope)
            return scope.session.evaluate(expression, scope)
        case ast.TensorType(kind="loss" | "fn"), _:
            return scope.session.evaluate(expression, replace(scope, implicit=None))
        case _, ast.Name(name=name) if scope.implicit is not None and name not in scope.values:
            # a loss that is handed over whole: its value would be that of a call, l1(pred, target)
            item = scope.environment.find(name)
            if isinstance(item, ast.Definition):
                return Function(item, scope.environment.home(item))
            return scope.session.evaluate(expression, scope)
        case _:
            return scope.session.evaluate(expression, scope)


def is_partial(function: ast.Definition, node: ast.Call) -> bool:
    """Whether a call stands for a model, ``net(w=w)``: a fn that is given everything by name but one tensor."""
    given = {argument.name for argument in node.arguments}
    wanted = [p.name for p in function.parameters if needs_input(p) and p.name not in given]
    return function.keyword == "fn" and None not in given and len(wanted) == 1


def partial(function: Function, node: ast.Call, scope: Scope) -> Function:
    """A loss or fn with some of its arguments: ``semihard(margin=0.2)``."""
    names = {parameter.name for parameter in function.definition.parameters}
    given: dict[str, Value] = {}
    sizes: dict[str, Extent] = {}
    for argument in node.arguments:
        if argument.name in names:
            given[argument.name] = scope.session.evaluate(argument.value, scope)
        elif argument.name in axis_names(function.definition):
            sizes[argument.name] = extent(argument.name, argument.value, scope)
        else:
            raise unknown_parameter(function.definition, argument)
    return replace(function, given=(*function.given, *given.items()), sizes=(*function.sizes, *sizes.items()))


MAX_EXTENT = 2**31
"""The extent of an axis."""


def extent(name: str, expression: ast.Expression, scope: Scope) -> Extent:
    """What a call says about an axis: ``moco(n=65536)``.

    Raises:
        LosslangError: LL0306 for what is no whole number above 0.
    """
    value = scope.session.evaluate(expression, scope)
    size = value.value if isinstance(value, Static) and isinstance(value.value, int) else 0
    if isinstance(size, bool) or not 1 <= size <= MAX_EXTENT:
        raise error(
            "LL0306",
            f"the extent of axis '{name}' is a whole number",
            expression.span,
            expected=f"1 to {MAX_EXTENT}, known when the objective is compiled",
            found=describe(value),
            hint=f"write it out: {name}=100",
        )
    return Extent(name, size, expression.span)


def _axis_name(item: ast.Expression | ast.Rest) -> str:
    if isinstance(item, ast.Rest):
        return "..."
    if isinstance(item, ast.Name):
        return item.name
    raise error(
        "LL0204",
        "an axis set holds axis names",
        item.span,
        expected="names, such as [b, ...]",
        found=item.span.text,
        hint="the names are those in the types of the loss's parameters",
    )


@dataclass(frozen=True)
class Request:
    """A call with its arguments evaluated: what each parameter gets, and where it stands in the text."""

    function: Function
    values: dict[str, Value]
    spans: dict[str, Span]
    span: Span
    bracket: tuple[ast.Expression | ast.Rest | ast.NamedIndex, ...]
    modifiers: dict[str, ast.Expression]
    sizes: dict[str, Extent] = field(default_factory=dict[str, Extent])
    rows: bool = False
    """Whether the value counts as the rows of a loss though a fn gives it: in ``1 - ssim``."""

    def place(self, name: str) -> Span:
        """Where an argument stands, or the call itself."""
        return self.spans.get(name, self.span)


def takes_list(parameter: ast.Parameter, definition: ast.Definition) -> bool:
    """Whether a parameter is a list itself: ``real[l][c]``, or ``real[l]`` beside one that is a list over ``l``."""
    groups = parameter.type.groups if isinstance(parameter.type, ast.TensorType) else ()
    return len(groups) > 1 or any(group[0].name in _list_axes(definition) for group in groups)


def _list_axes(definition: ast.Definition) -> set[str | None]:
    types = [p.type.result if isinstance(p.type, ast.FunctionType) else p.type for p in definition.parameters]
    return {t.groups[0][0].name for t in types if isinstance(t, ast.TensorType) and len(t.groups) > 1}


def group_count(parameter: ast.Parameter) -> int:
    """How many bracket groups a parameter's type has: two for a list of tensors."""
    return len(parameter.type.groups) if isinstance(parameter.type, ast.TensorType) else 0


def default_of(parameter: ast.Parameter, request: Request, scope: Scope) -> Value:
    """The value of a parameter that the call leaves out."""
    definition = request.function.definition
    if parameter.default is None:
        if isinstance(parameter.type, ast.TensorType) and parameter.type.optional:
            return NONE
        untyped = parameter.type is None and not definition.span.source.library
        raise error(
            "LL0207",
            f"{definition.name} needs '{parameter.name}'",
            request.span,
            expected=f"{parameter.name}: {type_text(parameter)}",
            hint=f"give it: {definition.name}({parameter.name}=...)"
            + (f", or its type in {definition.name}: {parameter.name}: real[b]" if untyped else ""),
        )
    if isinstance(parameter.type, ast.ChoiceType) and isinstance(parameter.default, ast.Name):
        return Static(parameter.default.name)
    if isinstance(parameter.type, ast.TensorType) and parameter.type.kind == "axes":
        return argument(parameter, parameter.default, scope)
    if chance.is_random(parameter.default, scope):
        return _draw(parameter, parameter.default, scope)
    return scope.session.evaluate(parameter.default, scope)


def _draw(parameter: ast.Parameter, default: ast.Expression, scope: Scope) -> Value:
    """The random default of a parameter; a permutation below an axis is one of its places."""
    declared = parameter.type
    if not isinstance(declared, ast.TensorType):
        return scope.session.evaluate(default, scope)
    below = scope.axes.get(kinds.label_axis(declared) or "", ())
    last = declared.groups[-1][-1].name if declared.groups else None
    if last is not None and last not in scope.axes and len(below) == 1:
        scope.variable(last, below[0])
    dims = dims_of(parameter, declared, default.span, scope)
    return chance.default(parameter.name, default, dims, kinds.kind_of(declared).dtype, scope)


def type_text(parameter: ast.Parameter) -> str:
    """A parameter's type as written."""
    from losslang.syntax.printer import print_type

    return print_type(parameter.type) if parameter.type is not None else "a tensor"


def bound_value(parameter: ast.Parameter, value: Value, request: Request, scope: Scope) -> Value:
    """An argument as the value of its parameter: checked, converted, its axes matched."""
    span = request.place(parameter.name)
    match parameter.type:
        case ast.ChoiceType(options=options):
            if not isinstance(value, Static) or value.value not in options:
                near = did_you_mean(str(value.value), options) if isinstance(value, Static) else None
                raise _no_choice(parameter, options, span, describe(value), near)
            return value
        case ast.FunctionType() as declared if sort_of(parameter) == "model":
            return _model(parameter, declared, value, scope, span)
        case ast.FunctionType():
            if not isinstance(value, Network):
                raise wrong_argument(parameter, value, span, "a network: squeeze, alexnet or vgg16")
            return value
        case ast.TensorType(kind="loss" | "fn" as wanted):
            keyword = value.definition.keyword if isinstance(value, Function) else "fn"
            if not isinstance(value, Function | Primitive) or keyword not in ("loss", "fn"):
                raise wrong_argument(parameter, value, span, f"a {wanted}")
            if wanted == "loss" and keyword == "fn":
                raise _no_direction(parameter, value, span)
            return value
        case ast.TensorType(kind="axes"):
            if not isinstance(value, AxisSet):
                raise wrong_argument(parameter, value, span, "axes, such as [b, ...]")
            return value
        case ast.TensorType() as declared if sort_of(parameter) == "number":
            return _number(parameter, declared, value, span, scope)
        case ast.TensorType() as declared:
            return _tensor(parameter, declared, value, request, scope)
        case None:
            return value


def _model(parameter: ast.Parameter, declared: ast.FunctionType, value: Value, scope: Scope, span: Span) -> Value:
    """A model of the caller's, or a function of one tensor in its place."""
    if isinstance(value, Model):
        return as_wanted(parameter, declared, value, scope, span)
    if isinstance(value, Function) and value.definition.keyword == "fn":
        given = dict(value.given)
        if sum(needs_input(p) and p.name not in given for p in value.definition.parameters) == 1:
            return value
    if isinstance(value, Primitive):
        return value
    raise wrong_argument(parameter, value, span, f"a model: {type_text(parameter)}")


def _no_direction(parameter: ast.Parameter, value: Function | Primitive, span: Span) -> LosslangError:
    """The error for a fn in a loss's place: nothing says that lower is better."""
    name = value.definition.name if isinstance(value, Function) else value.name
    return error(
        "LL0403",
        f"'{name}' is a function, and '{parameter.name}' takes a loss: nothing says that lower is better",
        span,
        expected="a loss",
        found=describe(value),
        hint=f"if higher is better, write -{name} or 1 - {name}",
    )


def scalar(parameter: ast.Parameter, value: Value, span: Span, scope: Scope) -> Value:
    """The value of a scalar in an objective's header: of its type, and within its bounds."""
    assert isinstance(parameter.type, ast.TensorType)
    return _number(parameter, parameter.type, value, span, scope)


def wrong_argument(parameter: ast.Parameter, value: Value, span: Span, expected: str) -> LosslangError:
    """The error for an argument of another type."""
    return error(
        "LL0307",
        f"'{parameter.name}' got {describe(value)}",
        span,
        expected=expected,
        found=describe(value),
        hint=_wrong_hint(parameter, value),
    )


def _wrong_hint(parameter: ast.Parameter, value: Value) -> str | None:
    """How the argument may be meant."""
    match value:
        case Static(value=str() as text) if sort_of(parameter) in ("number", "tensor"):
            return f"leave out the quotes: {parameter.name}={text}"
        case Static(value=str() as text) if sort_of(parameter) == "network":
            return f'a file of weights belongs to a network: {parameter.name}=vgg16(weights="{text}")'
        case Function(definition=definition) if sort_of(parameter) == "tensor":
            return f"its value is that of a call: {definition.name}(...) with its arguments"
        case Listed() if sort_of(parameter) == "tensor":
            return f"a list of numbers comes with the batch: {parameter.name}={parameter.name} makes it an input"
        case Static(value=None):
            return f"leave it out for its default, or give it a {sort_of(parameter)}"
        case Tensor() if sort_of(parameter) == "axes":
            return f"name the axes in brackets: {parameter.name}=[b, ...]"
        case Static(value=bool()) if sort_of(parameter) == "number":
            return "write 1 or 0"
        case Static(value=int() as number) if number in (0, 1) and sort_of(parameter) == "number":
            return f"write {'true' if number else 'false'}"
        case _:
            return _default_hint(parameter)


def _default_hint(parameter: ast.Parameter) -> str:
    if parameter.default is None:
        return f"leave '{parameter.name}' out, and it is an input of the objective"
    return f"leave it out for its default: {parameter.name}={parameter.default.span.text}"


def _no_choice(
    parameter: ast.Parameter, options: Sequence[str], span: Span, found: str, hint: str | None
) -> LosslangError:
    return error(
        "LL0308",
        f"'{parameter.name}' is a choice",
        span,
        expected=" or ".join(options),
        found=found,
        hint=hint or f"write one of these words: {parameter.name}={options[0]}",
        fix=renamed(span, found, options),
    )


def _number(parameter: ast.Parameter, declared: ast.TensorType, value: Value, span: Span, scope: Scope) -> Value:
    """A scalar parameter: a number within its bounds, a learned one, or a scalar of the IR."""
    bounds = kinds.limits(declared)
    match value:
        case Static(value=None) if declared.optional:
            return value
        case Static(value=bool() as flag) if declared.kind == "bool":
            return Static(flag)
        case Static(value=int() | float()) if declared.kind == "int" and not isinstance(value.value, (int, bool)):
            raise wrong_argument(parameter, value, span, "a whole number")
        case Static(value=int() | float() as number) if declared.kind != "bool" and not isinstance(number, bool):
            _check_bounds(parameter, number, bounds, span)
            return value
        case Auto():
            return learning.of_parameter(parameter, value, bounds, (), span, scope)
        case Tensor():
            return value
        case _:
            raise wrong_argument(parameter, value, span, f"a {'number' if declared.kind == 'real' else declared.kind}")


def _is_named(span: Span) -> bool:
    """Whether a number is given by name: it does not stand directly behind a bracket or a comma."""
    return not span.source.text[max(0, span.start - 80) : span.start].rstrip().endswith(("(", ","))


def _by_place(parameter: ast.Parameter, number: float) -> str:
    return f"by its place the number is {parameter.name}={number:g}: name it for the parameter that is meant"


def _check_bounds(parameter: ast.Parameter, number: float, bounds: Sequence[tuple[str, float]], span: Span) -> None:
    for op, limit in bounds:
        if not learning.HOLDS[op](number, limit):
            raise error(
                "LL0305",
                f"'{parameter.name}' is {number:g}",
                span,
                expected=f"{parameter.name} {op} {limit:g}",
                found=f"{number:g}",
                hint=_default_hint(parameter) if _is_named(span) else _by_place(parameter, number),
            )


def _tensor(parameter: ast.Parameter, declared: ast.TensorType, value: Value, request: Request, scope: Scope) -> Value:
    span = request.place(parameter.name)
    if value is NONE and declared.optional:
        return value
    if isinstance(value, Auto):
        dims = dims_of(parameter, declared, span, scope)
        return learning.of_parameter(parameter, value, kinds.limits(declared), dims, span, scope)
    if isinstance(value, Listed) and len(declared.groups) > 1:
        return _list(parameter, declared, value, request, scope)
    if isinstance(value, Listed) and value.axis and declared.groups:
        return lists.renamed(value, [declared.groups[0][0].name or ""], scope, span)
    if isinstance(value, Listed):
        return lists.literal(value, declared.groups[0] if declared.groups else (), kinds.kind_of(declared), scope, span)
    if (
        isinstance(value, Function | Primitive | Network | AxisSet)
        or isinstance(value, Static)
        and (value.value is None or isinstance(value.value, str))
    ):
        raise wrong_argument(parameter, value, span, type_text(parameter))
    x = tensor(value, span)
    if len(declared.groups) > 1 and x.order:
        raise wrong_argument(parameter, value, span, "a list, such as the feature maps of a network")
    kind = kinds.kind_of(declared)
    if x.order:
        x = kinds.convert(x, kind, scope.axes, declared, span)
    elif (kind.dtype, x.node.dtype) in (("int", "real"), ("bool", "int"), ("bool", "real")):
        raise wrong_argument(parameter, value, span, type_text(parameter))
    else:
        return replace(x, kind=kind, order=_broadcast_order(declared, scope), bound=_bound_axis(declared, scope))
    x = match_axes(parameter, declared, x, request, scope)
    name = kinds.label_axis(declared)
    if name is not None and name in scope.axes and x.node.dtype == "int":
        x = replace(x, bound=scope.axes[name][0])
    elif name is not None and x.bound is not None and name not in scope.axes:
        scope.declare(name, (x.bound,))
    return x


def dims_of(parameter: ast.Parameter, declared: ast.TensorType, span: Span, scope: Scope) -> Axes:
    """The axes of a declared type, for what has no argument to take them from.

    Raises:
        LosslangError: LL0306 for an axis of which nothing says how long it is.
    """
    dims: list[Axis] = []
    for axis in declared.groups[-1] if declared.groups else ():
        name = axis.name or f"{parameter.name}{axis.size}"
        if name not in scope.axes and axis.size is not None:
            scope.stacked(name, axis.size)
        if name not in scope.axes and not axis.is_rest:
            raise error(
                "LL0306",
                f"nothing says how long the axis '{name}' of '{parameter.name}' is",
                span,
                expected="an axis of another parameter, or an extent that a type or the call gives",
                found=type_text(parameter),
                hint=f"give it where the loss is used: {name}=100",
            )
        dims += scope.axes.get(name, ())
    return tuple(dims)


def _broadcast_order(declared: ast.TensorType, scope: Scope) -> Axes:
    """A number for a tensor is the same along all of its axes."""
    names = [axis.name or "" for axis in declared.groups[-1]] if len(declared.groups) == 1 else []
    return tuple(axis for name in names for axis in scope.axes.get(name, ()))


def _bound_axis(declared: ast.TensorType, scope: Scope) -> Axis | None:
    """The axis that a number for labels picks from: ``ce(logits, labels=2)``."""
    axes = scope.axes.get(kinds.label_axis(declared) or "", ())
    return axes[0] if len(axes) == 1 else None


def _list(parameter: ast.Parameter, declared: ast.TensorType, value: Listed, request: Request, scope: Scope) -> Listed:
    """A list under the names of its axes here; each element has axes of its own, but for those that are shared."""
    span = request.place(parameter.name)
    names = [group[0].name or "" for group in declared.groups[:-1]]
    if _depth(value) != len(names):
        raise wrong_argument(parameter, value, span, type_text(parameter))
    for group, count in zip(declared.groups, _counts(value), strict=False):
        if group[0].size not in (None, count):
            raise wrong_length(parameter, group[0].name or "", group[0].size or 0, count, span)
    named = lists.renamed(value, names, scope, span)
    shared = shared_axes(request.function.definition)
    inner = replace(declared, groups=declared.groups[-1:])

    def element(single: list[Value]) -> Value:
        x = tensor(single[0], span)
        kind = kinds.kind_of(declared)
        x = kinds.convert(x, kind, scope.axes, inner, span) if x.order else replace(x, kind=kind)
        return match_axes(parameter, inner, x, request, scope, own=lambda name: name not in shared)

    found = lift([named], element, span)
    assert isinstance(found, Listed)
    return found


def shared_axes(definition: ast.Definition) -> set[str]:
    """The axes that all elements of a list have in common: those that the definition also names outside of lists.

    What a network gives has axes of its own, but for those of the result.
    """
    result = definition.result.axes if definition.result is not None else ()
    types = [p.type for p in definition.parameters]
    plain = [t.groups[0] for t in types if isinstance(t, ast.TensorType) and len(t.groups) == 1]
    made = [t.result.groups[-1] for t in types if isinstance(t, ast.FunctionType) and len(t.result.groups) > 1]
    return (_names(definition.axes, *plain) - _names(*made)) | _names(result)


def _names(*groups: Sequence[ast.Axis]) -> set[str]:
    return {axis.name for group in groups for axis in group if axis.name is not None}


def _depth(value: Value) -> int:
    return 1 + _depth(value.items[0]) if isinstance(value, Listed) and value.items else 0


def _counts(value: Value) -> list[int]:
    return [len(value.items), *_counts(value.items[0])] if isinstance(value, Listed) and value.items else []


def wrong_length(parameter: ast.Parameter, name: str, wanted: int, count: int, span: Span) -> LosslangError:
    """The error for a list of another length than its type says."""
    return error(
        "LL0302",
        f"'{parameter.name}' has {count} elements over '{name}'",
        span,
        expected=f"{wanted}, for {parameter.name}: {type_text(parameter)}",
        found=str(count),
        hint=f"a list of {wanted}, or another extent of '{name}' in the type",
    )


def bind_options(
    definition: ast.Definition,
    parameters: Sequence[ast.Parameter],
    options: dict[str | None, ast.Argument],
    scope: Scope,
    caller: Scope,
) -> None:
    """Bind the options of a balancer: what is given has the names of the objective, a default those of the balancer."""
    names = {parameter.name for parameter in parameters}
    for name, option in options.items():
        if name not in names:
            raise unknown_parameter(replace(definition, parameters=tuple(parameters)), option)
    for parameter in parameters:
        given = options.get(parameter.name)
        expression = parameter.default if given is None else given.value
        span = parameter.span if given is None else given.span
        if expression is None:
            raise error(
                "LL0207",
                f"{definition.name} needs '{parameter.name}'",
                span,
                expected=f"{parameter.name}: {type_text(parameter)}",
                hint=f"give it: | {definition.name}({parameter.name}=...)",
            )
        request = Request(Function(definition, scope.environment), {}, {parameter.name: span}, span, (), {})
        if given is None and chance.is_random(expression, scope):
            value = _draw(parameter, expression, scope)
        else:
            value = argument(parameter, expression, scope if given is None else caller)
            value = _over_terms(parameter, value, scope) if isinstance(value, Tensor) else value
        scope.bind(parameter.name, bound_value(parameter, value, request, scope))


def _over_terms(parameter: ast.Parameter, x: Tensor, scope: Scope) -> Tensor:
    """A tensor with one element for each term, under an axis of its own, along the axis of the terms."""
    groups = parameter.type.groups if isinstance(parameter.type, ast.TensorType) else ()
    if not groups or len(groups[-1]) != len(x.order):
        return x
    positions: dict[Axis, Tensor] = {}
    for declared, axis in zip(groups[-1], x.order, strict=True):
        terms = scope.axes.get(declared.name or "", ())
        if len(terms) == 1 and terms[0] in scope.session.terms and terms[0] != axis:
            positions[axis] = Tensor(ops.iota(terms[0]), terms, kind=INT)
    return take(x, positions, scope) if positions else x


def match_axes(
    parameter: ast.Parameter,
    declared: ast.TensorType,
    x: Tensor,
    request: Request,
    scope: Scope,
    own: Callable[[str], bool] = lambda name: False,
) -> Tensor:
    """Match a parameter's declared axes to an argument's: bound ones by identity, others from the ends.

    What is left over passes through unseen; a declared axis that the argument lacks broadcasts. ``own`` says which
    names mean an axis of this argument only, which is an element of a list.
    """
    if not declared.groups:
        return x
    span = request.place(parameter.name)
    wanted = list(declared.groups[-1])
    have = list(x.order)
    bound = [axis for axis in wanted if axis.name in scope.axes and not own(axis.name or "")]
    for known in (known for axis in bound for known in scope.axes[axis.name or ""]):
        if known in have:
            have.remove(known)
    unbound = [axis for axis in wanted if axis not in bound]
    rest = next((place for place, axis in enumerate(unbound) if axis.is_rest), None)
    pairs: list[tuple[ast.Axis, Axes]] = []
    behind = unbound if rest is None else unbound[rest + 1 :]
    pairs += [(axis, (have.pop(),)) for axis in reversed(behind) if have]
    if rest is not None:
        pairs += [(axis, (have.pop(0),)) for axis in unbound[:rest] if have]
        pairs.append((unbound[rest], tuple(have)))
        have = []
    for axis, found in pairs:
        if not axis.is_rest:
            _check_axis(axis, found[0], span)
        if own(axis.name or ""):
            scope.own(axis.name or "", found)
        else:
            scope.declare(axis.name or str(found[0]), found)
    _check_left(parameter, declared, x, have, request, scope, span)
    return x


def _check_axis(axis: ast.Axis, found: Axis, span: Span) -> None:
    """Whether an axis of an argument may be the one that is declared."""
    if found.rest:
        raise error(
            "LL0302",
            f"nothing says which of the dimensions '...' is '{axis.name or axis.size}'",
            span,
            expected=f"a value with an axis for '{axis.name or axis.size}'",
            found="the dimensions '...', of which there may be none",
            hint="declare the tensor with all of its axes: objective main(x: real[b, c]): ...",
        )
    if axis.size is not None and found.root.size is not None and axis.size != found.root.size:
        raise error(
            "LL0302",
            f"axis '{found}' has {found.root.size} elements",
            span,
            expected=f"{axis.size}",
            found=f"{found.root.size}",
        )


def _check_left(
    parameter: ast.Parameter,
    declared: ast.TensorType,
    x: Tensor,
    left: list[Axis],
    request: Request,
    scope: Scope,
    span: Span,
) -> None:
    """An axis declared for two arguments must be one axis of the caller."""
    missing = [
        axis
        for axis in declared.groups[-1]
        if axis.name in scope.axes and not axis.is_rest and not set(scope.axes[axis.name or ""]) & set(x.order)
    ]
    strangers = [axis for axis in left if axis.ordinal == 0]
    if missing and strangers:
        name = missing[0].name or ""
        raise error(
            "LL0302",
            f"'{parameter.name}' of {request.function.definition.name} has no axis '{name}'",
            span,
            expected=f"the axis '{scope.axes[name][0]}', which '{name}' is in another argument",
            found=describe(x),
            hint="both arguments need the same axis; index one of them, as in z[j]",
        )
