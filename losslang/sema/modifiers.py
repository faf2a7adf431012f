"""What every loss takes besides its own parameters (reduce, mask, ignore, weight), and how rows become one number."""

from __future__ import annotations

from dataclasses import dataclass, replace

from losslang.diagnostics import did_you_mean, error, renamed
from losslang.ir import ops
from losslang.sema.brackets import conjunction
from losslang.sema.elementwise import operate, tensor
from losslang.sema.parameters import Request
from losslang.sema.scope import Scope
from losslang.sema.values import Condition, Static, Tensor, Value, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import BOOL, REAL, Axes


@dataclass(frozen=True)
class Rows:
    """What a loss gives before it is reduced: its rows, and what their mean divides by."""

    value: Value
    normaliser: Tensor | None = None
    reduce: str = "mean"


def evaluate_modifiers(request: Request, scope: Scope, caller: Scope) -> dict[str, Value]:
    """``reduce`` and ``weight``, evaluated; ``mask`` and ``ignore`` become conditions on the arguments."""
    found: dict[str, Value] = {}
    for name, expression in request.modifiers.items():
        if name == "reduce":
            found[name] = _reduction(expression)
        elif name == "ignore":
            _ignore(caller.session.evaluate(expression, caller), scope, expression.span)
        else:
            value = tensor(caller.session.evaluate(expression, caller), expression.span)
            if name == "mask":
                _mask(value, scope, expression.span)
            else:
                found[name] = value
    return found


def _reduction(expression: ast.Expression) -> Static:
    choices = ("mean", "sum", "none")
    given = expression.name if isinstance(expression, ast.Name) else ""
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


def finish(rows: Rows, modifiers: dict[str, Value], span: Span) -> Rows:
    """The rows under the modifiers: weighed by ``weight``, with the reduction that ``reduce`` names."""
    value = rows.value
    weight = modifiers.get("weight")
    if weight is not None:
        value = operate("mul", [value, weight], span)
    reduction = modifiers.get("reduce")
    how = reduction.value if isinstance(reduction, Static) else "mean"
    return Rows(value, rows.normaliser, str(how))


def reduced(rows: Rows, span: Span) -> Tensor:
    """The rows of a loss as one number: their mean, divided by the normaliser where it has one, or their sum."""
    x = tensor(rows.value, span)
    mask = conjunction([condition.node for condition in x.domain])
    if rows.reduce == "none":
        return replace(x, node=x.node if mask is None else ops.apply("where", mask, x.node, ops.const(0.0)), domain=())
    normaliser = rows.normaliser
    if normaliser is not None and ops.is_const(normaliser.node, 1):
        normaliser = None
    if rows.reduce == "sum" or normaliser is not None:
        total = ops.reduce("sum", x.node, x.order, mask)
    else:
        total = ops.mean(x.node, x.order, mask)
    if normaliser is not None and rows.reduce == "mean":
        total = _divided(total, normaliser, x.order, mask)
    return Tensor(ops.apply("real", total), (), kind=REAL)


def _divided(total: ops.Node, normaliser: Tensor, order: Axes, mask: ops.Node | None) -> ops.Node:
    """0 where the normaliser is 0: nothing counts, so nothing is lost."""
    if mask is not None and not set(mask.axes) <= set(normaliser.order):
        mask = None
    mass = ops.reduce("sum", normaliser.node, [a for a in order if a in normaliser.order], mask)
    empty = ops.apply("eq", mass, ops.const(0.0))
    safe = ops.apply("where", empty, ops.const(1.0), mass)
    return ops.apply("where", empty, ops.const(0.0), ops.apply("div", total, safe))
