"""``argmax[z in ball(linf, eps, at=x, within=0..1)](f, start=..., steps=..., step=...)``: projected gradient ascent.

A step goes along the sign of the gradient (``linf``) or along the gradient at length 1 (``l2``), then back into the
ball. All steps are written out in nodes that exist; the place that they reach is a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from losslang.diagnostics import LosslangError, did_you_mean, error
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.nodes import Node
from losslang.sema.brackets import bracket_axes, conjunction, joined, split_domain
from losslang.sema.elementwise import tensor
from losslang.sema.folds import number_of_steps, unrolled, variable
from losslang.sema.networks import checked_derivative
from losslang.sema.scope import Scope
from losslang.sema.values import Condition, Static, Tensor, axes_text, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes

NORMS = ("linf", "l2")

ZERO, ONE = ops.const(0.0), ops.const(1.0)


@dataclass(frozen=True)
class Ball:
    """Values that are near a centre by the largest difference, or by the norm over some axes; ``within`` bounds."""

    centre: Node
    radius: Node
    over: Axes | None
    """The axes of the Euclidean norm; None for the largest difference."""
    mask: Node | None
    within: tuple[Node, Node] | None

    def direction(self, gradient: Node) -> Node:
        """The steepest direction whose norm is 1; it is 0 where nothing changes."""
        if self.over is None:
            return ops.apply("sign", gradient)
        largest = ops.reduce("max", ops.apply("abs", gradient), self.over, self.mask)
        scaled = ops.apply("div", gradient, _or_one(largest))  # its square does not vanish in single precision
        return ops.apply("div", scaled, _or_one(self._norm(scaled)))

    def projected(self, z: Node) -> Node:
        """The value moved into its bounds, and then into the ball: in both, where the centre is in the bounds."""
        if self.within is not None:
            z = ops.apply("clamp", z, *self.within)
        if self.over is None:
            low, high = (ops.apply(name, self.centre, self.radius) for name in ("sub", "add"))
            return ops.apply("clamp", z, low, high)
        away = ops.apply("sub", z, self.centre)
        length = self._norm(away)
        shorter = ops.apply("mul", away, ops.apply("div", self.radius, _or_one(length)))
        return ops.apply("where", ops.apply("lt", self.radius, length), ops.apply("add", self.centre, shorter), z)

    def _norm(self, x: Node) -> Node:
        return ops.apply("sqrt", ops.reduce("sum", ops.apply("mul", x, x), self.over or (), self.mask))


def _or_one(size: Node) -> Node:
    """A size to divide by: 1 where it is none."""
    return ops.apply("where", ops.apply("lt", ZERO, size), size, ONE)


def extremum(name: str, bound: str, set_: ast.Call, node: ast.Call, scope: Scope) -> Tensor:
    """Where some steps of ascent (of descent for ``argmin``) lead inside a ball, as a constant."""
    settings = _named(node, ("start", "steps", "step"), 1, _form(name))
    given = _named(set_, ("at", "within"), 2, BALL)
    for call, found, required in ((set_, given, ("at",)), (node, settings, ("steps", "step"))):
        missing = next((word for word in required if word not in found), None)
        if missing is not None:
            raise _missing(missing, call, BALL if call is set_ else _form(name))
    centre = _centre(given["at"], scope)
    start = _like(settings["start"], centre, "start", scope) if "start" in settings else centre
    step = _like(settings["step"], centre, "step", scope, least=0)
    ball, domain = _ball(set_, given, [centre, start, step], scope)
    steps = number_of_steps(settings["steps"], scope)
    leaf = variable(centre.order)
    function = _function(name, bound, Tensor(leaf, centre.order, domain), node, scope)
    slope = checked_derivative(gradients(function, [leaf])[0], node.span)
    moved = ops.apply("sub" if name == "argmin" else "add", leaf, ops.apply("mul", step.node, ball.direction(slope)))
    (reached,) = unrolled([start.node], [leaf], [ball.projected(moved)], steps, None, node.span)
    return Tensor(ops.apply("stop", reached if steps else ball.projected(reached)), centre.order, domain)


BALL = "ball(linf, eps, at=x, within=0..1)"


def _form(name: str) -> str:
    return f"{name}[z in {BALL}](f, start=x, steps=10, step=0.003)"


# ------------------------------------------------------------------------------------------ what is given
def _named(call: ast.Call, names: tuple[str, ...], places: int, form: str) -> dict[str, ast.Expression]:
    """The named arguments of a call that has some others by place."""
    bare = [argument for argument in call.arguments if argument.name is None]
    if len(bare) != places:
        raise error(
            "LL0207" if len(bare) < places else "LL0208",
            f"this takes {places} argument{'s' if places > 1 else ''} by place",
            call.span,
            expected=form,
            found=f"{len(bare)} of them",
            hint=f"the others have names: {', '.join(f'{name}=' for name in names)}",
        )
    found: dict[str, ast.Expression] = {}
    for argument in call.arguments:
        if argument.name is None:
            continue
        if argument.name not in names or argument.name in found:
            twice = argument.name in found
            raise error(
                "LL0202",
                f"'{argument.name}' is given twice" if twice else f"there is no parameter '{argument.name}' here",
                argument.span,
                expected=", ".join(names),
                found=argument.name,
                hint="keep one of them" if twice else did_you_mean(argument.name, names) or f"it reads {form}",
            )
        found[argument.name] = argument.value
    return found


def _missing(name: str, call: ast.Call, form: str) -> LosslangError:
    return error(
        "LL0207",
        f"'{name}' is missing",
        call.span,
        expected=form,
        found=call.span.text,
        hint=f"add {name}=...",
    )


def _centre(given: ast.Expression, scope: Scope) -> Tensor:
    value = scope.session.evaluate(given, scope)
    if isinstance(value, Tensor) and value.node.dtype == "real":
        return value.plain()
    raise error(
        "LL0307",
        "a ball is around a tensor of real numbers",
        given.span,
        expected="real numbers, such as x: real[b, ...]",
        found=describe(value),
        hint="of whole numbers, attack what a model makes of them: their embedding",
    )


def _like(given: ast.Expression, centre: Tensor, what: str, scope: Scope, least: float | None = None) -> Tensor:
    """A value for every element of a ball's centre."""
    value = scope.session.evaluate(given, scope)
    if least is not None and isinstance(value, Static) and isinstance(value.value, int | float) and value.value < least:
        raise error(
            "LL0305",
            f"'{what}' is {value.value:g}",
            given.span,
            expected=f"at least {least:g}",
            found=f"{value.value:g}",
            hint="to go the other way, use argmin in place of argmax" if what == "step" else f"try {-value.value:g}",
        )
    found = tensor(value, given.span)
    strange = [axis for axis in found.order if axis not in centre.order]
    if strange:
        raise error(
            "LL0302",
            f"'{what}' has the axis '{scope.name_of(strange[0])}', and what the ball is around has not",
            given.span,
            expected=f"some or all of the axes {axes_text(centre.order) or '[]'}",
            found=axes_text(found.order),
            hint="it is a value for each element of what the ball is around, or the same for all",
        )
    return replace(found, node=ops.apply("real", found.node))


def _ball(
    set_: ast.Call, given: dict[str, ast.Expression], values: list[Tensor], scope: Scope
) -> tuple[Ball, tuple[Condition, ...]]:
    """The ball around the first of some values, and where all of them are defined."""
    centre = values[0]
    norm, radius = (argument.value for argument in set_.arguments if argument.name is None)
    over = _norm(norm, centre, scope)
    size = _like(radius, centre, "eps", scope, least=0)
    if over is not None and (along := [axis for axis in size.order if axis in over]):
        raise error(
            "LL0302",
            f"one ball has one radius, and this has the axis '{scope.name_of(along[0])}'",
            radius.span,
            expected=f"a value without the axes of the norm, {axes_text(over)}",
            found=axes_text(size.order),
            hint="a radius for each element is one of linf",
        )
    within = _bounds(given["within"], centre, scope) if "within" in given else ()
    domain = joined([*values, size, *within])
    inner, _ = split_domain(domain, over or ())
    mask = conjunction([condition.node for condition in inner])
    bounds = (within[0].node, within[1].node) if within else None
    return Ball(centre.node, size.node, over, mask, bounds), domain


def _norm(norm: ast.Expression, centre: Tensor, scope: Scope) -> Axes | None:
    """The axes of a norm: ``l2[c, h, w]`` says them, ``l2`` has all but the first."""
    match norm:
        case ast.Name("linf"):
            return None
        case ast.Name("l2") if len(centre.order) > 1:
            return centre.order[1:]
        case ast.Index(base=ast.Name("l2"), items=items, filter=None):
            over = bracket_axes(items, centre.order, scope)
            if all(axis in centre.order for axis in over):
                return over
        case ast.Name("l2"):
            pass
        case _:
            raise _no_norm(norm)
    raise error(
        "LL0302",
        "the axes of this norm are not those of what the ball is around",
        norm.span,
        expected=f"some of the axes {axes_text(centre.order) or '[]'}",
        found=norm.span.text,
        hint="l2[c, h, w] names them; l2 alone has all axes but the first" if centre.order else "for one number, linf",
    )


def _no_norm(norm: ast.Expression) -> LosslangError:
    name = norm.name if isinstance(norm, ast.Name) else ""
    return error(
        "LL0201",
        f"there is no ball of the norm '{norm.span.text}'",
        norm.span,
        expected=" or ".join(NORMS),
        found=norm.span.text,
        hint=did_you_mean(name, NORMS) or "linf bounds every element, l2 the Euclidean length of an item",
    )


def _bounds(given: ast.Expression, centre: Tensor, scope: Scope) -> tuple[Tensor, ...]:
    if not isinstance(given, ast.Range):
        raise error(
            "LL0307",
            "within is a range",
            given.span,
            expected="low..high, such as 0..1",
            found=given.span.text,
            hint="leave it out where every value is allowed",
        )
    low, high = (_like(end, centre, "within", scope) for end in (given.low, given.high))
    if ops.is_const(ops.apply("lt", high.node, low.node), True):
        raise error(
            "LL0305",
            "nothing is within this range",
            given.span,
            expected="low..high, with low below high",
            found=given.span.text,
            hint="turn it round",
        )
    return low, high


def _function(name: str, bound: str, z: Tensor, node: ast.Call, scope: Scope) -> Node:
    """What the body is at a leaf."""
    body = next(argument.value for argument in node.arguments if argument.name is None)
    inner = replace(scope, values={**scope.values, bound: z}, binder=name)
    value = tensor(scope.session.evaluate(body, inner), body.span)
    if value.order or value.domain:
        raise not_one_number(name, value, body.span, scope)
    return ops.apply("real", value.node)


def not_one_number(name: str, value: Tensor, span: Span, scope: Scope) -> LosslangError:
    """The error for a body with axes."""
    return error(
        "LL0302",
        f"{name} is of one number",
        span,
        expected="a number",
        found=describe(value),
        hint=f"reduce it: sum[{scope.name_of(value.order[0])}](...)" if value.order else None,
    )
