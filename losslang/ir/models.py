"""Calls of models and their derivatives: which axes they have, and in which order of the model's own dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, intern
from losslang.types import Axes, ordered


def model(call: ir.ModelCall, args: Sequence[Node]) -> Node:
    """What a model gives for a value."""
    return intern(ir.Model, tuple(args), ordered(set(call.gives)), "real", call)


def model_vjp(call: ir.ModelCall, args: Sequence[Node], steps: tuple[int, ...]) -> Node:
    """A derivative of a model's result, contracted with a cotangent."""
    operands = tuple(args)
    return intern(ir.ModelVjp, operands, ordered(set(result_dims(call, operands, steps))), "real", call, steps)


def derivatives(node: ir.Model | ir.ModelVjp, g: Node) -> tuple[Node | None, ...]:
    """What a cotangent of a call gives each of its operands."""
    steps = node.steps if isinstance(node, ir.ModelVjp) else ()
    return tuple(
        model_vjp(node.call, (*node.args, g), (*steps, place)) if arg.dtype == "real" else None
        for place, arg in enumerate(node.args)
    )


def result_dims(call: ir.ModelCall, args: tuple[Node, ...], steps: tuple[int, ...]) -> Axes:
    """The axes of a result in the order of its dimensions; rows that a cotangent brings stand in front."""
    if not steps:
        return call.gives
    inner, before = args[:-1], steps[:-1]
    return (*rows_of(args[-1], result_dims(call, inner, before)), *operand_dims(call, inner, before, steps[-1]))


def operand_dims(call: ir.ModelCall, args: tuple[Node, ...], steps: tuple[int, ...], place: int) -> Axes:
    """The axes of an operand in the order of its dimensions, also those along which it is constant."""
    if place == 0:
        return call.takes
    inner = result_dims(call, args[:place], steps[: place - 1])
    return (*rows_of(args[place], inner), *inner)


def rows_of(g: Node, dims: Axes) -> Axes:
    """The axes that a cotangent has beside those of what it is a cotangent of."""
    return ordered({axis for axis in g.axes if axis not in dims})
