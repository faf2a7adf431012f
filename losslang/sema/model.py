"""Models in the language: called, frozen, handed to a parameter that takes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from losslang.diagnostics import LosslangError, error
from losslang.ir import ops
from losslang.ir.models import model, model_vjp
from losslang.ir.nodes import ModelCall, Node
from losslang.sema import kinds
from losslang.sema.brackets import split_domain
from losslang.sema.elementwise import tensor
from losslang.sema.scope import Scope
from losslang.sema.values import Model, Tensor, Value, axes_text, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes, Axis, meet


def stopped(value: Model) -> Model:
    """A model whose parameters are constants: a gradient reaches what it is given, and not them."""
    return replace(value, frozen=True)


def called(value: Model, given: Value, scope: Scope, span: Span, takes: Axes | None = None) -> Tensor:
    """What a model gives for a value, whose axes it takes in their order (or as ``takes`` says)."""
    x = tensor(given, span)
    kind = value.input.argument
    x = kinds.convert(x, kind, scope.axes, ast.TensorType(kind.name), span)
    call = _call(value, x, scope, span, takes)
    consumed = set(call.takes) - set(call.gives)
    if split_domain(x.domain, tuple(consumed))[0]:
        raise error(
            "LL0304",
            f"the model '{value.input.name}' takes whole tensors, and this one has a filter or mask",
            span,
            expected=f"a filter over what its result keeps: {axes_text(call.gives)}",
            found=describe(x),
            hint="multiply the value by the mask, or leave the mask out",
        )
    for axis in call.gives:
        if axis not in call.takes:
            scope.local.setdefault(axis, "..." if axis.rest else axis.name)
    node = model(call, (_operand(value, x),))
    return Tensor(node, call.gives, x.domain, value.kind)


def derivative(
    value: Model, x: Tensor, gs: Sequence[Tensor], steps: tuple[int, ...], takes: Axes, scope: Scope, span: Span
) -> Tensor:
    """A derivative of what a model gives, contracted with cotangents, as `ir.ModelVjp` says."""
    call = _call(value, x, scope, span, takes)
    node = model_vjp(call, (_operand(value, x), *(g.node for g in gs)), steps)
    return Tensor(node, node.axes)


def _operand(value: Model, x: Tensor) -> Node:
    return ops.apply("real", x.node) if value.input.argument.dtype == "real" else x.node


def _call(value: Model, x: Tensor, scope: Scope, span: Span, takes: Axes | None) -> ModelCall:
    bound = _matched(value, x, scope, span, x.order if takes is None else takes)
    taken = tuple(axis for element in value.input.takes for axis in bound[element])
    gone = [axis for element, axes in bound.items() if element not in value.input.gives for axis in axes]
    for element in value.input.gives:
        own = element.rest and element.index is None
        bound.setdefault(element, (_own_rest(element, gone) if own else element,))
    gives = tuple(axis for element in value.input.gives for axis in bound[element])
    return ModelCall(value.input, taken, gives, value.frozen)


def _own_rest(element: Axis, gone: Sequence[Axis]) -> Axis:
    """``...`` of a result: it may be another one where the model takes other axes."""
    return Axis("_".join([element.name, *(axis.name for axis in gone)]), rest=True, made=1)


def _matched(value: Model, x: Tensor, scope: Scope, span: Span, order: Axes) -> dict[Axis, Axes]:
    """What each axis that a model takes is of a value: from both ends, and ``...`` is what is left."""
    wanted, have = list(value.input.takes), list(order)
    if any(not scope.sees(axis) for axis in have):
        raise _other_axes(value, x, scope, span)
    found: dict[Axis, Axes] = {}
    rest = next((axis for axis in wanted if axis.rest), None)
    before = wanted if rest is None else wanted[: wanted.index(rest)]
    behind = [] if rest is None else wanted[wanted.index(rest) + 1 :]
    if len(have) < len(before) + len(behind) or (rest is None and len(have) > len(before)):
        raise _other_axes(value, x, scope, span)
    for axis in before:
        found[axis] = (have.pop(0),)
    for axis in reversed(behind):
        found[axis] = (have.pop(),)
    if rest is not None:
        found[rest] = tuple(have)
    for axis, (one, *more) in ((axis, axes) for axis, axes in found.items() if axes):
        sizes_differ = not more and axis.size is not None and one.root.size not in (None, axis.size)
        if (one.rest and not axis.rest) or sizes_differ:
            raise _other_axes(value, x, scope, span)
    return found


def _other_axes(value: Model, x: Tensor, scope: Scope, span: Span) -> LosslangError:
    through = [axis for axis in x.order if not scope.sees(axis)]
    hint = "give it a value with these axes, in this order"
    if through:
        hint = f"the axis '{through[0]}' passes through here, and a model takes no axes besides its own: declare it"
    return error(
        "LL0302",
        f"the model '{value.input.name}' does not take these axes",
        span,
        expected=value.input.type_text,
        found=describe(x),
        hint=hint,
    )


def as_wanted(parameter: ast.Parameter, declared: ast.FunctionType, value: Model, scope: Scope, span: Span) -> Model:
    """A model as the value of a parameter: its type fits, and names of the definition stand for its own axes.

    Raises:
        LosslangError: LL0301 for other kinds, LL0302 for other axes.
    """
    takes = declared.parameter.groups[-1] if declared.parameter.groups else ()
    gives = declared.result.groups[-1] if declared.result.groups else ()
    argument, result = kinds.kind_of(declared.parameter), kinds.kind_of(declared.result)
    kind = meet(value.input.result, result)
    if kind is None or meet(value.input.argument, argument) is None:
        raise error(
            "LL0301",
            f"'{parameter.name}' takes another kind of model",
            span,
            expected=_type_text(declared),
            found=describe(value),
            hint="declare the model with these kinds, or hand over what it gives",
        )
    takes_fit = any(axis.rest for axis in value.input.takes) or _fit(takes, value.input.takes)
    if not (takes_fit and _fit(gives, value.input.gives)):
        raise error(
            "LL0302",
            f"'{parameter.name}' takes a model with other axes",
            span,
            expected=_type_text(declared),
            found=describe(value),
            hint="the axes of a model are those of its type in the objective's header",
        )
    _name_axes(takes, gives, value, scope)
    return replace(value, kind=kind)


def _fit(declared: tuple[ast.Axis, ...], have: Axes) -> bool:
    """Whether what a model gives has the declared axes; ``...`` of the model is told from named axes."""
    rest = any(axis.is_rest for axis in declared)
    if any(axis.rest for axis in have):
        return rest
    pairs = zip(declared, have, strict=False)
    sizes = rest or all(axis.size is None or own.size in (None, axis.size) for axis, own in pairs)
    return sizes and (len(declared) - 1 <= len(have) if rest else len(declared) == len(have))


def _name_axes(takes: tuple[ast.Axis, ...], gives: tuple[ast.Axis, ...], value: Model, scope: Scope) -> None:
    """``c`` of ``real[b, ...] -> logit[b, c]`` is the model's own axis, where nothing else says what it is."""
    known = {axis.name for axis in takes}
    for named, own in ((gives, value.input.gives), (gives[::-1], value.input.gives[::-1])):
        for axis, given in zip(named, own, strict=False):
            if axis.is_rest:
                break
            scope.foreign.discard(given)
            if axis.name is not None and axis.name not in known and given not in value.input.takes:
                scope.axes.setdefault(axis.name, (given,))


def _type_text(declared: ast.FunctionType) -> str:
    from losslang.syntax.printer import print_type

    return print_type(declared)
