"""What every loss takes besides its own parameters (reduce, mask, ignore, weight), and how rows become one number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from losslang.diagnostics import did_you_mean, error, renamed
from losslang.ir import ops
from losslang.sema.brackets import conjunction, split_domain
from losslang.sema.elementwise import operate, tensor
from losslang.sema.parameters import Request
from losslang.sema.scope import Scope
from losslang.sema.values import Condition, Static, Tensor, Value, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, REAL, Axes, Axis


@dataclass(frozen=True)
class Result:
    """What a call gives before it is reduced: its rows, and how they are to be where the call says so."""

    value: Value
    reduce: str | None = None


def evaluate_modifiers(request: Request, scope: Scope, caller: Scope) -> dict[str, Value]:
    """``reduce`` and ``weight``, evaluated; ``mask`` and ``ignore`` become conditions on the arguments."""
    found: dict[str, Value] = {}
    for name, expression in request.modifiers.items():
        if name == "reduce":
            found[name] = _reduction(expression, caller)
        elif name == "ignore":
            _ignore(caller.session.evaluate(expression, caller), scope, expression.span)
        else:
            value = tensor(caller.session.evaluate(expression, caller), expression.span)
            if name == "mask":
                _mask(value, scope, expression.span)
            else:
                found[name] = value
    return found


def _reduction(expression: ast.Expression, caller: Scope) -> Static:
    choices = ("mean", "sum", "none")
    given = expression.name if isinstance(expression, ast.Name) else ""
    constant = caller.values.get(given)
    if isinstance(constant, Static) and isinstance(constant.value, str):
        given = constant.value
    if given in choices:
        return Static(given)
    raise error(
        "LL0308",
        "this is no reduction",
        expression.span,
        expected="mean, sum or none",
        found=expression.span.text,
        hint=did_you_mean(given, choices) or "another reduction is written around the loss: max[b](...)",
        fix=renamed(expression.span, given, choices),
    )


def _ignore(value: Value, scope: Scope, span: Span) -> None:
    labels = [v for v in scope.values.values() if isinstance(v, Tensor) and v.kind.name == "label"]
    if not labels:
        raise error(
            "LL0307",
            "ignore= is for losses that take labels",
            span,
            expected="a parameter of kind label",
            hint="say which elements exist: mask=target != 0",
        )
    label_value = tensor(value, span)
    if label_value.node.dtype != "int" or label_value.order:
        raise error(
            "LL0307",
            "ignore= names a label",
            span,
            expected="a whole number: ignore=-100",
            found=describe(label_value),
            hint="elements that are chosen otherwise are masked: mask=labels < 5",
        )
    for label in labels:
        keep = ops.apply("ne", label.node, label_value.node)
        _mask(Tensor(keep, label.order, kind=BOOL), scope, span)


def _mask(mask: Tensor, scope: Scope, span: Span) -> None:
    """These elements do not exist: a condition on every argument that has all of the mask's axes."""
    if mask.node.dtype != "bool":
        raise error(
            "LL0307",
            "a mask is a bool tensor: true where an element exists",
            span,
            expected="bool, such as mask=valid or mask=target > 0",
            found=describe(mask),
            hint="a number for each element is a weight: weight=...",
        )
    hit = False
    for name, value in scope.values.items():
        if isinstance(value, Tensor) and value.order and set(mask.order) <= set(value.order):
            scope.values[name] = replace(value, domain=(*value.domain, Condition(mask.node, True)))
            hit = True
    if not hit:
        arguments = [f"{n}: {describe(v)}" for n, v in scope.values.items() if isinstance(v, Tensor) and v.order]
        raise error(
            "LL0302",
            "no argument has the mask's axes",
            span,
            expected="axes of one of " + ", ".join(arguments),
            found=describe(mask),
            hint="an axis that an argument lacks is reduced first: all[h, w](mask)",
        )


def finish(value: Value, modifiers: dict[str, Value], span: Span) -> Result:
    """The rows under the modifiers: weighed by ``weight``, with the reduction that ``reduce`` names."""
    weight = modifiers.get("weight")
    if weight is not None:
        value = operate("mul", [value, weight], span)
    reduction = modifiers.get("reduce")
    return Result(value, str(reduction.value) if isinstance(reduction, Static) else None)


def reduced(x: Tensor, how: str | None, span: Span, over: Axes | None = None) -> Tensor:
    """The rows of a loss as one number: their mean, divided by the normaliser where it has one, or their sum.

    ``over`` says which axes are reduced; what was bound to the others keeps them.
    """
    over = x.order if over is None else over
    # a condition without axes (size(i) > 1) says whether there is anything at all: the last reduction takes it
    inner, outer = split_domain(x.domain, over) if set(x.order) - set(over) else (x.domain, ())
    mask = conjunction([condition.node for condition in inner])
    if how == "none":
        return replace(x, node=x.node if mask is None else ops.apply("where", mask, x.node, ops.const(0.0)), domain=())
    normaliser = _normaliser(x, span)
    if how == "sum" or normaliser is not None:
        total = ops.reduce("sum", x.node, over, mask)
    else:
        total = ops.mean(x.node, over, mask)
    if normaliser is not None and how != "sum":
        total = _divided(total, normaliser, over, mask)
    return Tensor(ops.apply("real", total), tuple(axis for axis in x.order if axis not in over), outer, REAL)


def over_the_rest(x: Tensor, kept: Collection[Axis], scope: Scope, span: Span) -> Tensor:
    """The rows of a loss that are bound to fewer axes: reduced over the others, as at the objective."""
    over = tuple(axis for axis in scope.visible(x.order) if axis not in kept)
    return reduced(x, None, span, over) if x.rows is not None and over else x


def _normaliser(x: Tensor, span: Span) -> Tensor | None:
    """What the mean of the rows divides by; None for their number."""
    if x.rows is None or x.rows.normaliser is None:
        return None
    if x.rows.clash:
        raise error(
            "LL0310",
            f"the means of {x.rows.clash} divide by different things",
            span,
            expected="losses that are reduced before they are added",
            found=f"rows of {x.rows.clash} in one sum",
            hint=f"reduce each of them first: {x.rows.clash.split()[0]}(..., reduce=mean)",
        )
    return x.rows.normaliser


def _divided(total: ops.Node, normaliser: Tensor, order: Axes, mask: ops.Node | None) -> ops.Node:
    """0 where the normaliser is 0: nothing counts, so nothing is lost."""
    if mask is not None and not set(mask.axes) <= set(normaliser.order):
        mask = None
    mass = ops.reduce("sum", normaliser.node, [a for a in order if a in normaliser.order], mask)
    empty = ops.apply("eq", mass, ops.const(0.0))
    safe = ops.apply("where", empty, ops.const(1.0), mass)
    return ops.apply("where", empty, ops.const(0.0), ops.apply("div", total, safe))
