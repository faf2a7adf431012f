"""The value of an expression in a scope."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from losslang.diagnostics import Edit, LosslangError, error, renamed
from losslang.ir import ops
from losslang.ir.maps import map_along
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.nodes import Noise
from losslang.sema import (
    along,
    body,
    boxes,
    calls,
    chance,
    complexes,
    concat,
    learning,
    lists,
    memory,
    model,
    networks,
    parameters,
    spectra,
)
from losslang.sema.along import Bracketed
from losslang.sema.binders import BINDERS, binder, is_binder
from losslang.sema.brackets import (
    MAPS,
    REDUCTIONS,
    Item,
    bracket_axes,
    bracketed,
    declare_ranges,
    indexed,
)
from losslang.sema.elementwise import FUNCTIONS, applied, combine, lift, operate, tensor
from losslang.sema.losses import retitled
from losslang.sema.resolve import needs_input
from losslang.sema.scope import Scope
from losslang.sema.values import (
    NONE,
    Auto,
    Function,
    Listed,
    Model,
    Network,
    Primitive,
    Static,
    Tensor,
    Value,
    describe,
    merge_orders,
)
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import INT, Axes, Axis

BUILTINS = {**along.BUILTINS, **concat.BUILTINS, **spectra.BUILTINS}
"""Builtins that name axes and are no reduction."""

CONSTANTS: dict[str, float | bool | None] = {
    "pi": math.pi,
    "inf": math.inf,
    "none": None,
    "true": True,
    "false": False,
}
CLOCKS = ("step", "epoch")
"""Integers that the runtime fills."""


def evaluate(node: ast.Expression, scope: Scope) -> Value:
    """The value of an expression.

    Raises:
        LosslangError: for everything that does not fit, at its place.
    """
    match node:
        case ast.Number():
            return Static(node.value)
        case ast.String():
            return Static(node.value)
        case ast.Name():
            return _name(node, scope)
        case ast.Unary(op="-"):
            return operate("neg", [evaluate(node.operand, scope)], node.span)
        case ast.Unary():
            return operate("not", [_condition(node.operand, scope)], node.span)
        case ast.Sum():
            return _sum(node, scope)
        case ast.Binary():
            return _binary(node, scope)
        case ast.Compare():
            return _compare(node, scope)
        case ast.Conditional():
            return _conditional(node, scope)
        case ast.Call():
            return _call(node, scope)
        case ast.Index():
            return indexed(node, scope)
        case ast.ListOf():
            return Listed("", tuple(evaluate(i, scope) for i in node.items if not isinstance(i, ast.Rest)))
        case ast.Labelled():
            return evaluate(node.value, scope)
        case _:
            raise error("LL0309", "this has no value here", node.span)


def _name(node: ast.Name, scope: Scope) -> Value:
    name = node.name
    if name in scope.broken:
        raise LosslangError(())
    if name in scope.values:
        return scope.values[name]
    if name in scope.unrolled:
        return lists.variable(name, scope)
    if name in scope.axes and len(scope.axes[name]) == 1:
        return body.iota(scope.axes[name])
    if name in CONSTANTS:
        return Static(CONSTANTS[name]) if name != "none" else NONE
    if name == "auto":
        return Auto()
    if name in CLOCKS:
        return memory.time(name)
    if name in TAPS or name in ALIASES:
        return _network(name, (), node.span, scope)
    item = defined(name, scope)
    if isinstance(item, Function) and scope.implicit is not None:
        return calls.call_value(item, (), scope, node.span)
    if item is not None:
        return item
    if name in FUNCTIONS:
        return Primitive(name, lambda values: applied(name, values, node.span))
    if scope.implicit is not None:
        found = scope.implicit(name)
        if found is not None:
            return found
    raise _unknown(node, scope)


def defined(name: str, scope: Scope) -> Value | None:
    """What a definition or alias of this name is as a value; arithmetic on losses is a loss."""
    item = scope.environment.find(name)
    if isinstance(item, ast.Definition):
        return Function(item, scope.environment.home(item))
    if item is None:
        return None
    known = scope.session.aliases
    if id(item) not in known:
        value = evaluate(item.value, Scope(scope.environment.home(item), scope.session, scope.path))
        known[id(item)] = retitled(value, name) if isinstance(value, Function) else value
    return known[id(item)]


def _network(name: str, arguments: Sequence[ast.Argument], span: Span, scope: Scope) -> Network:
    """A network; the objective's own text says where it stands."""
    net = networks.network(name, arguments, span)
    known = scope.session.networks
    known[str(net.spec)] = known.get(str(net.spec)) or (None if span.source.library else span)
    return net


def _unknown(node: ast.Name, scope: Scope) -> LosslangError:
    """The error for a name that means nothing."""
    known = [*scope.values, *scope.axes, *FUNCTIONS, *CONSTANTS, *TAPS, *ALIASES, *scope.environment.names()]
    near = scope.environment.advice(node.name, known)
    if scope.implicit is None:
        expected = "a parameter, a binding above, an axis or a definition"
        hint = near or "a definition sees its own parameters and bindings, from the line after them on"
        fix = renamed(node.span, node.name, known)
        return error("LL0203", f"there is no '{node.name}' here", node.span, expected=expected, hint=hint, fix=fix)
    return error(
        "LL0203",
        f"nothing says what '{node.name}' is",
        node.span,
        expected="a number, or a tensor whose type is known: an argument of a loss, or declared",
        hint=near or f"declare it: objective main({node.name}: real[b, ...]): ...",
        fix=renamed(node.span, node.name, known),
    )


def _sum(node: ast.Sum, scope: Scope) -> Value:
    total = evaluate(node.terms[0][1], scope)
    for sign, term in node.terms[1:]:
        total = operate("add" if sign == "+" else "sub", [total, evaluate(term, scope)], term.span)
    return retitled(total, node.span.text) if isinstance(total, Function) else total


_BINARY = {"*": "mul", "/": "div", "^": "pow", "and": "and", "or": "or"}


def _binary(node: ast.Binary, scope: Scope) -> Value:
    left = evaluate(node.left, scope)
    if node.op in ("and", "or"):
        _check_condition(left, node.left.span)
        if isinstance(left, Static) and left.value is (node.op == "or"):
            return left
    right = evaluate(node.right, scope)
    if node.op in ("and", "or"):
        _check_condition(right, node.right.span)
    if node.op == "/" and isinstance(right, Static) and right.value == 0:
        raise error(
            "LL0305",
            "division by zero",
            node.right.span,
            expected="a divisor other than 0",
            found=describe(right),
            hint="infinity is written inf",
        )
    return operate(_BINARY[node.op], [left, right], node.span)


def _condition(node: ast.Expression, scope: Scope) -> Value:
    value = evaluate(node, scope)
    _check_condition(value, node.span)
    return value


def _check_condition(value: Value, span: Span) -> None:
    """A number is no condition: nothing says which numbers would hold."""
    holds = value.node.dtype == "bool" if isinstance(value, Tensor) else isinstance(value, Listed)
    if not holds and not (isinstance(value, Static) and isinstance(value.value, bool)):
        raise error(
            "LL0307",
            "this is no condition",
            span,
            expected="bool",
            found=describe(value),
            hint=f"compare it: {span.text} > 0" if len(span.text) < 20 else "compare it with something",
        )


_COMPARISONS: dict[str, tuple[str, bool]] = {
    "==": ("eq", False),
    "!=": ("ne", False),
    "<": ("lt", False),
    "<=": ("le", False),
    ">": ("lt", True),
    ">=": ("le", True),
}


def _compare(node: ast.Compare, scope: Scope) -> Value:
    whole: Value | None = None
    values = [_operand(operand, node, scope) for operand in node.operands]
    for place, op in enumerate(node.ops):
        pair = [values[place], values[place + 1]]
        part = _static_compare(op, pair)
        if part is None:
            name, swap = _COMPARISONS[op]
            part = operate(name, pair[::-1] if swap else pair, node.span)
        whole = part if whole is None else operate("and", [whole, part], node.span)
    assert whole is not None
    return whole


def _operand(operand: ast.Expression, node: ast.Compare, scope: Scope) -> Value:
    """A name that a choice is compared with means the choice."""
    if isinstance(operand, ast.Name) and operand.name not in scope.values:
        for other in node.operands:
            value = scope.values.get(other.name) if isinstance(other, ast.Name) else None
            if isinstance(value, Static) and isinstance(value.value, str):
                return Static(operand.name)
    return evaluate(operand, scope)


def _static_compare(op: str, pair: Sequence[Value]) -> Static | None:
    """Comparisons with none, and of choices, are known at once."""
    left, right = pair
    choices = isinstance(left, Static) and isinstance(right, Static) and isinstance(left.value, str)
    if op in ("==", "!=") and (left is NONE or right is NONE or choices):
        return Static((left == right) is (op == "=="))
    return None


def _conditional(node: ast.Conditional, scope: Scope) -> Value:
    condition = _condition(node.condition, scope)
    if isinstance(condition, Static):
        return evaluate(node.then if condition.value else node.otherwise, scope)
    if isinstance(condition, Listed):
        holds, fails = lists.static_truths(condition)
        then = evaluate(node.then, scope) if holds else Static(0)
        return lists.choose([condition, then, evaluate(node.otherwise, scope) if fails else then], node.span)
    branches = [evaluate(node.then, scope), evaluate(node.otherwise, scope)]
    return operate("where", [condition, *branches], node.span)


# ------------------------------------------------------------------------------------------ calls
def _call(node: ast.Call, scope: Scope) -> Value:
    match node.callee:
        case ast.Name(name=name):
            return _named_call(name, node, scope)
        case ast.Index(base=ast.Name(name=name)) if not isinstance(scope.values.get(name), Model):
            return _bracket_call(name, node.callee, node, scope)
        case ast.Index(base=base, filter=None) if isinstance(held := evaluate(base, scope), Model):
            return _model_call(held, node, scope, node.callee.items)
        case ast.Call(callee=ast.Name(name=name)) if isinstance(defined(name, scope), Function):
            raise _called_twice(node, node.callee)
        case ast.Call():
            return _apply(evaluate(node.callee, scope), node, scope)
        case _:
            raise error(
                "LL0307",
                "this cannot be called",
                node.callee.span,
                expected="a name and its arguments: ssim(win=7)",
            )


def _called_twice(node: ast.Call, first: ast.Call) -> LosslangError:
    """The error for ``focal(gamma=2)(logits, labels)``."""
    places = [a for a in first.arguments if a.name is None]
    names = [a for a in first.arguments if a.name is not None]
    arguments = ", ".join(argument.span.text for argument in (*places, *node.arguments, *names))
    whole = f"{first.callee.span.text}({arguments})"
    return error(
        "LL0307",
        f"'{first.span.text}' is called already",
        node.span,
        expected="all arguments in one call",
        found=node.span.text,
        hint=f"write {whole}",
        fix=[Edit(node.span, whole)],
    )


def _named_call(name: str, node: ast.Call, scope: Scope) -> Value:
    if name in scope.broken:
        raise LosslangError(())
    if name in scope.values and not _is_builtin_beside(name, scope):
        return _apply(scope.values[name], node, scope)
    if name in TAPS or name in ALIASES:
        return _network(name, node.arguments, node.span, scope)
    if name in chance.WORDS and scope.implicit is None and not node.arguments:
        raise chance.no_place(node)
    function = defined(name, scope)
    if isinstance(function, Function):
        if scope.implicit is None and _is_partial(function.definition, node):
            return parameters.partial(function, node, scope)
        return calls.call_value(function, node.arguments, scope, node.span)
    if name in SPECIAL:
        return SPECIAL[name](node, scope)
    if name in FUNCTIONS:
        return applied(name, _positional(node, scope, FUNCTIONS[name]), node.span)
    known = [*FUNCTIONS, *SPECIAL, *REDUCTIONS, *BUILTINS, *scope.environment.names()]
    if name in REDUCTIONS or name in MAPS or name in BUILTINS or name in WINDOWS:
        raise error(
            "LL0204",
            f"{name} names the axes it works on",
            node.span,
            expected=f"{name}[axes](x)",
            found=f"{name}(x)",
            hint=f"{name}[c](...), or {name}[...](...) for all of them",
        )
    raise error(
        "LL0201",
        f"there is no loss or function '{name}'",
        node.callee.span,
        expected="a loss, a fn or a builtin function",
        hint=scope.environment.advice(name, known) or _unknown_call(name),
        fix=renamed(node.callee.span, name, known),
    )


def _unknown_call(name: str) -> str:
    """What a name that is called may be, where it is near to none: capitals are what models are called."""
    if name[0].isupper():
        return f"a model says what it takes and gives: objective main({name}: real[b, ...] -> real[b, ...], ...): ..."
    return "losslang list shows all of them; a model is declared in the objective's header"


def _apply(function: Value, node: ast.Call, scope: Scope) -> Value:
    """A call of a value: a function or network that a parameter holds."""
    match function:
        case Function():
            return _handed(function, node, scope)
        case Primitive():
            return function.apply(_positional(node, scope, FUNCTIONS[function.name]))
        case Network():
            (value,) = _positional(node, scope, 1)
            return lift([value], lambda single: networks.features(function, single[0], scope, node.span), node.span)
        case Model():
            return _model_call(function, node, scope)
        case _:
            raise error("LL0307", f"{describe(function)} cannot be called", node.span)


def _model_call(held: Model, node: ast.Call, scope: Scope, items: Sequence[Item] = ()) -> Value:
    """A call of a model; a bracket says which axes of the value it takes, in which order."""

    def call(single: list[Value]) -> Value:
        x = tensor(single[0], node.span)
        takes = bracket_axes(items, x.order, scope) if items else None
        return model.called(held, x, scope, node.span, takes)

    return lift(_positional(node, scope, 1), call, node.span)


MISFITS = ("LL0202", "LL0207", "LL0208", "LL0301", "LL0302", "LL0307", "LL0308")
"""Errors of a call that say that another loss is meant, where the loss was handed over."""


def _handed(function: Function, node: ast.Call, scope: Scope) -> Value:
    """A call of a loss or fn that a parameter holds: whoever hands it over sees only that it does not fit."""
    try:
        return calls.call_value(function, node.arguments, scope, node.span)
    except LosslangError as problem:
        if not problem.diagnostics:
            raise
        first = problem.diagnostics[0]
        place, name = first.span, function.definition.name
        inside = place is not None and place.source is node.span.source
        if place is None or not (inside and node.span.start <= place.start and place.end <= node.span.end):
            raise
        if first.code not in MISFITS:
            raise
        taken = ", ".join(parameter.name for parameter in function.definition.parameters)
        raise error(
            "LL0311",
            f"{describe(function)} cannot be called as {node.span.text}",
            node.span,
            expected=f"a {function.definition.keyword} that takes what stands there",
            found=first.message,
            hint=f"{name} takes {taken or 'nothing'}; hand over another, or define one that fits",
        ) from None


def _is_partial(definition: ast.Definition, node: ast.Call) -> bool:
    """A call inside a body that gives no tensor where some are needed is a loss value."""
    needs = [p for p in definition.parameters if needs_input(p)]
    given = {argument.name for argument in node.arguments}
    positional = any(argument.name is None for argument in node.arguments)
    return bool(needs) and not positional and not any(p.name in given for p in needs)


def _is_builtin_beside(name: str, scope: Scope) -> bool:
    """Whether a name that is called means a builtin although a tensor has the same name: tensors are not called."""
    return is_builtin(name) and isinstance(scope.values[name], (Tensor, Static))


def is_builtin(name: str) -> bool:
    """Whether the language itself has a function of that name."""
    return any(name in words for words in (SPECIAL, FUNCTIONS, REDUCTIONS, MAPS, BUILTINS, WINDOWS, EXTENTS))


def _bracket_call(name: str, callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    function = defined(name, scope)
    if name in scope.values and not _is_builtin_beside(name, scope):
        function = scope.values[name]
        if not isinstance(function, Function):
            raise error("LL0307", f"{describe(function)} takes no brackets", callee.span)
    if isinstance(function, Function):
        return calls.call_value(function, node.arguments, scope, node.span, callee.items, callee.filter)
    if is_binder(name, callee):
        return binder(name, callee, node, scope)
    if name in REDUCTIONS or name in MAPS:
        if len(node.arguments) != 1 or node.arguments[0].name is not None:
            raise error("LL0208", f"{name} takes one value", node.span)
        return bracketed(name, callee.items, callee.filter, node.arguments[0].value, scope, node.span)
    if name in BUILTINS:
        declare_ranges(callee.items, scope)
        return BUILTINS[name](Bracketed(name, callee, node, scope))
    if name in WINDOWS:
        return _window(name, callee, node, scope)
    if name in EXTENTS:
        return _extent(name, callee, node, scope)
    known = [*REDUCTIONS, *MAPS, *BUILTINS, *WINDOWS, *BINDERS, *scope.environment.names()]
    raise error(
        "LL0201",
        f"there is no function '{name}[...]'",
        callee.span,
        expected="a reduction, a map or a definition",
        hint=scope.environment.advice(name, known)
        or "reductions are sum, mean, max, min, logsumexp, any, all and count",
        fix=renamed(callee.span, name, known),
    )


def _positional(node: ast.Call, scope: Scope, count: int) -> list[Value]:
    if len(node.arguments) != count or any(argument.name is not None for argument in node.arguments):
        raise error(
            "LL0208" if len(node.arguments) > count else "LL0207",
            f"this takes {count} argument{'s' if count > 1 else ''}",
            node.span,
            expected=str(count),
            found=str(len(node.arguments)),
            hint="builtin functions take their values by place, without names",
        )
    return [evaluate(argument.value, scope) for argument in node.arguments]


# ------------------------------------------------------------------------------------------ special functions
def _n_ary(name: str) -> Callable[[ast.Call, Scope], Value]:
    """``max(a, b, ...)`` without brackets is elementwise."""

    def apply(node: ast.Call, scope: Scope) -> Value:
        if len(node.arguments) < 2:
            raise error(
                "LL0207",
                f"{name} without brackets compares values",
                node.span,
                expected="two or more",
                found=str(len(node.arguments)),
                hint=f"over an axis: {name}[c](x)",
            )
        values = [evaluate(argument.value, scope) for argument in node.arguments]
        total = values[0]
        for value in values[1:]:
            total = operate(name, [total, value], node.span)
        return total

    return apply


def _logaddexp(node: ast.Call, scope: Scope) -> Value:
    if len(node.arguments) < 2:
        raise error(
            "LL0207",
            "logsumexp without brackets joins values",
            node.span,
            expected="two or more",
            found=str(len(node.arguments)),
            hint="over an axis: logsumexp[c](x)",
        )
    axis = scope.new_axis("each", len(node.arguments))
    values = [evaluate(argument.value, scope) for argument in node.arguments]
    return lift(
        values, lambda single: _joined([tensor(value, node.span) for value in single], axis, node.span), node.span
    )


def _joined(values: list[Tensor], axis: Axis, span: Span) -> Tensor:
    """``logsumexp`` over values side by side: of nothing but -inf it is -inf."""
    whole = ops.reduce("logsumexp", ops.stack(axis, [ops.apply("real", value.node) for value in values]), (axis,))
    return Tensor(whole, merge_orders([value.order for value in values]), combine(values, span))


def _size(node: ast.Call, scope: Scope) -> Value:
    match node.arguments:
        case (ast.Argument(value=ast.Name(name=name), name=None),) if name in scope.unrolled:
            return Static(scope.unrolled[name])
        case _:
            return Tensor(ops.sizes(_axis_argument("size", node, scope)), (), kind=INT)


def _index(node: ast.Call, scope: Scope) -> Value:
    """``index(c)``: an axis's index variable, also where an input has the same name."""
    return body.iota(_axis_argument("index", node, scope))


def _axis_argument(name: str, node: ast.Call, scope: Scope) -> Axes:
    match node.arguments:
        case (ast.Argument(value=ast.Name(name=axis), name=None),) if axis in scope.axes:
            return scope.axes[axis]
        case _:
            raise error("LL0204", f"{name} takes an axis", node.span, expected=f"{name}(c)")


def _pick(node: ast.Call, scope: Scope) -> Value:
    """``pick(x, h=h + 1)`` is ``x[h=h + 1]`` for positions that are known to be inside: it adds no filter."""
    if not node.arguments or any((a.name is None) is not (k == 0) for k, a in enumerate(node.arguments)):
        raise error("LL0207", "pick takes a value and positions", node.span, expected="pick(x, h=h + 1)")
    first, *rest = node.arguments
    items = [ast.NamedIndex(a.name or "", a.value, span=a.span) for a in rest]
    x = tensor(evaluate(first.value, scope), node.span)
    value = indexed(ast.Index(first.value, tuple(items), span=node.span), scope)
    return replace(value, domain=x.domain) if isinstance(value, Tensor) else value


def _stop(node: ast.Call, scope: Scope) -> Value:
    value = node.arguments[0] if node.arguments else None
    options = {argument.name: argument.value for argument in node.arguments[1:]}
    if value is None or value.name is not None or set(options) - {"when"}:
        raise error("LL0208", "stop takes a value", node.span, expected="stop(x) or stop(x, when=condition)")
    if "when" in options:
        when = evaluate(options["when"], scope)
        if not isinstance(when, Static) or not isinstance(when.value, bool):
            raise error(
                "LL0307",
                "when= is true or false",
                options["when"].span,
                expected="true or false",
                found=describe(when),
                hint="what depends on the batch is a choice of values: stop(x) if condition else x",
            )
        if not when.value:
            return evaluate(value.value, scope)
    stopped = evaluate(value.value, scope)
    return model.stopped(stopped) if isinstance(stopped, Model) else operate("stop", [stopped], node.span)


def _auto(node: ast.Call, scope: Scope) -> Value:
    """``auto(init)``; the IR's own text also says the slot's key, bounds and axes."""
    init: float | Noise | None = None
    given: dict[str, Value] = {}
    dims: Axes = ()
    for argument in node.arguments:
        noise = chance.noise(argument.value, scope) if argument.name is None else None
        if argument.name == "axes":
            dims = memory.dims_of(argument, scope)
            continue
        value = NONE if noise is not None else evaluate(argument.value, scope)
        if noise is not None:
            init = noise
        elif argument.name is None and isinstance(value, Static) and isinstance(value.value, (int, float)):
            init = float(value.value)
        elif argument.name in ("key", "lower", "upper"):
            given[argument.name] = value
        else:
            raise error(
                "LL0307",
                "auto takes where it starts",
                argument.span,
                expected="a number, auto(1.0), or random numbers, auto(normal(0, 0.1))",
                found=argument.span.text,
                hint="leave it out to start at the parameter's default: tau=auto",
            )
    match given.get("key"):
        case Static(value=str() as key):
            lower, upper = _number_of(given.get("lower")), _number_of(given.get("upper"))
            start = 0.0 if init is None else init
            limits = [limit for limit in (lower, upper) if limit is not None]
            inside = isinstance(start, float) and (lower is None or start > lower) and (upper is None or start < upper)
            if limits and not inside:
                raise error("LL0305", f"'{key}' starts outside its bounds", node.span, found=node.span.text)
            return learning.slot(key, start, lower, upper, dims)
        case _:
            return Auto(init)


def _number_of(value: Value | None) -> float | None:
    """The number that a value is, where it is one."""
    known = value.value if isinstance(value, Static) else None
    return float(known) if isinstance(known, (int, float)) else None


MAX_WINDOW = 10_000
"""Samples of a window: it is written out."""


def _gaussian(node: ast.Call, scope: Scope) -> Value:
    """``gaussian(n, sigma)``: a normalised window of n samples."""
    count, sigma = map(_number_of, _positional(node, scope, 2))
    if count is None or sigma is None:
        raise error("LL0307", "gaussian takes numbers", node.span, expected="gaussian(11, 1.5)", hint="write them out")
    if not (1 <= count <= MAX_WINDOW and count == int(count) and 1e-3 <= sigma < math.inf):
        raise error(
            "LL0305",
            f"there is no window of {count:g} samples with sigma {sigma:g}",
            node.span,
            expected=f"1 to {MAX_WINDOW} samples, and sigma at least 0.001",
            found=f"gaussian({count:g}, {sigma:g})",
            hint="image quality measures use gaussian(11, 1.5)",
        )
    axis = scope.stacked(f"window{int(count)}", int(count))
    return Tensor(ops.table(ops.gaussian(int(count), sigma), axis), (axis,))


def _heads(node: ast.Call, scope: Scope) -> Value:
    (net,) = _positional(node, scope, 1)
    if not isinstance(net, Network):
        raise error("LL0307", "lpips_heads takes a network", node.span, found=describe(net))
    return networks.heads(net, scope)


def _reader(read: Callable[[Value, Scope, Span], Value]) -> Callable[[ast.Call, Scope], Value]:
    """A function of one value, or of each element of a list."""

    def apply(node: ast.Call, scope: Scope) -> Value:
        (x,) = _positional(node, scope, 1)
        return lift([x], lambda single: read(single[0], scope, node.span), node.span)

    return apply


def _box(name: str) -> Callable[[ast.Call, Scope], Value]:
    """``lo(p)``, ``hi(p)``, ``center(p)`` and ``extent(p)`` of boxes."""
    return _reader(lambda x, scope, span: boxes.read(name, tensor(x, span), scope, span))


def _complex_part(name: str) -> Callable[[ast.Call, Scope], Value]:
    """``re(z)``, ``im(z)``, ``abs2(z)`` and ``angle(z)``."""
    return _reader(lambda z, scope, span: complexes.part(name, z, span, operate))


def _vjp(node: ast.Call, scope: Scope) -> Value:
    """How the compiler writes a derivative of a model: ``vjp(D[b, ...], x, g, steps=[0])``."""
    match node.arguments:
        case (
            ast.Argument(ast.Index(base=base, items=items)),
            *given,
            ast.Argument(ast.ListOf() as steps, "steps"),
        ) if isinstance(held := evaluate(base, scope), Model) and len(given) > len(steps.items):
            x, *gs = (tensor(evaluate(argument.value, scope), argument.span) for argument in given)
            places = tuple(int(item.value) for item in steps.items if isinstance(item, ast.Number))
            return model.derivative(held, x, gs, places, bracket_axes(items, x.order, scope), scope, node.span)
        case _:
            raise error(
                "LL0206",
                "vjp is how the compiler writes a derivative of a model",
                node.span,
                expected="grad[x](f)",
                found=node.span.text,
                hint="grad[x](sum[...](D(x))) is the gradient of what D gives",
            )


SPECIAL: dict[str, Callable[[ast.Call, Scope], Value]] = {
    "max": _n_ary("max"),
    "min": _n_ary("min"),
    "logsumexp": _logaddexp,
    "size": _size,
    "index": _index,
    "pick": _pick,
    "stop": _stop,
    "auto": _auto,
    "gaussian": _gaussian,
    "lpips_heads": _heads,
    "vjp": _vjp,
    **{name: _box(name) for name in boxes.READERS},
    **{name: _complex_part(name) for name in complexes.READERS},
    "last": memory.last,
    "push": memory.push,
    "put": memory.put,
    "clock": memory.clock,
    "draw": chance.draw,
    **dict.fromkeys(chance.WORDS, chance.elsewhere),
}

WINDOWS = ("conv", "diff", "conv_t", "diff_t")
"""Maps along axes that leave other extents, and their transposes, which only gradients are made of."""

EXTENTS = ("size", "index")
"""``size[h](x)`` and ``index[h](x)``: of an axis that a value made, such as what a convolution leaves."""


def _extent(name: str, callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    x = tensor(_positional(node, scope, 1)[0], node.span)
    if callee.filter is not None:
        raise error(
            "LL0309",
            f"{name} takes no filter",
            callee.filter.span,
            expected=f"{name}[h](x)",
            found=callee.span.text,
            hint="how many elements a filter leaves is count[h](condition)",
        )
    axes = bracket_axes(callee.items, x.order, scope)
    if len(axes) != 1 or axes[0] not in x.node.axes:
        raise error("LL0204", f"{name} takes one axis of its value", node.span, expected=f"{name}[h](x)")
    axis = axes[0]
    return body.iota((axis,)) if name == "index" else Tensor(ops.size(axis, x.node), (), kind=INT)


def _window(name: str, callee: ast.Index, node: ast.Call, scope: Scope) -> Value:
    """``conv[h, w](x, kernel)`` (valid, one vector per axis) and ``diff[h](x)``."""
    values = _positional(node, scope, 2 if name.startswith("conv") else 1)

    def apply(single: list[Value]) -> Value:
        x, *kernel = (tensor(value, node.span) for value in single)
        return windowed(Bracketed(name, callee, node, scope), x, kernel)

    return lift(values, apply, node.span)


def windowed(call: Bracketed, x: Tensor, kernel: list[Tensor]) -> Tensor:
    """A window moved along axes; a filter on them would say nothing about a window, so it is an error."""
    name, scope, over = call.name, call.scope, call.axes(x.order)
    call.whole(x.domain, over, expected="whole windows", found=describe(x), hint="mask the result instead")
    axes = tuple(axis for axis in x.node.axes if axis in over)
    if name.endswith("_t") and any(axis.parent is None or axis.ordinal for axis in axes):
        raise error(
            "LL0309",
            f"{name} is how the compiler writes the transpose of {name[:-2]}",
            call.span,
            expected="an axis that a window left",
            found=describe(x),
            hint=f"write {name[:-2]}[...](...), and grad for its derivative",
        )
    node = map_along(name, (x.node, *(k.node for k in kernel)), axes)
    if name.endswith("_t"):
        made = {axis: axis.parent for axis in axes if axis.parent is not None}
    else:
        made = dict(zip((a for a in axes), (a for a in node.axes if a.parent in axes), strict=True))
    for axis, derived in made.items():
        scope.local[derived] = scope.name_of(axis)
    order = tuple(made.get(axis, axis) for axis in x.order)
    return Tensor(node, order, x.domain)
