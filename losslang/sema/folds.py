"""Steps that are written out: how many there are, and a body's nodes repeated.

Non-goals: what a step computes (`binders`, `ascent`).
"""

from __future__ import annotations

from collections.abc import Sequence

from losslang.diagnostics import error
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node
from losslang.ir.rewrite import rebuild
from losslang.sema.scope import Scope
from losslang.sema.values import Static, describe
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes, ordered

MAX_STEPS = 10_000
"""Steps of a fold: each of them is written out."""

MAX_NODES = 200_000
"""Operations that one fold is written out to."""


def number_of_steps(count: ast.Expression, scope: Scope) -> int:
    """A number of steps that is known when the objective is compiled."""
    value = scope.session.evaluate(count, scope)
    if not isinstance(value, Static) or isinstance(value.value, bool) or not isinstance(value.value, int):
        raise error(
            "LL0307",
            "a number of steps is known when the objective is compiled",
            count.span,
            expected="a whole number, or an axis of known extent",
            found=describe(value),
            hint="steps are written out: give a number, such as 10",
        )
    if not 0 <= value.value <= MAX_STEPS:
        raise error(
            "LL0305",
            f"{value.value} steps cannot be written out",
            count.span,
            expected=f"0 to {MAX_STEPS} steps",
            found=str(value.value),
            hint="fewer steps, from a better start",
        )
    return value.value


def variable(order: Axes, dtype: str = "real") -> Node:
    """A new leaf that stands for a value with these axes; none is left when an elaboration ends."""
    return ir.Variable((), ordered(set(order)), "int" if dtype == "int" else "real", -1)


def unrolled(
    start: Sequence[Node], leaves: Sequence[Node], body: Sequence[Node], steps: int, place: Node | None, span: Span
) -> list[Node]:
    """The body's nodes with the leaves replaced by what they hold, step after step."""
    changing = ir.depending(body, {*leaves, *(() if place is None else (place,))})
    if len(changing) * steps > MAX_NODES:
        raise error(
            "LL0406",
            f"{steps} steps of {len(changing)} operations are too much to write out",
            span,
            expected=f"{MAX_NODES} operations or fewer",
            found=f"{len(changing) * steps}",
            hint="fewer steps, or what does not change from step to step in a binding of its own",
        )
    held = [ops.apply("real", node) for node in start]
    for step in range(steps):
        now: dict[Node, Node] = dict(zip(leaves, held, strict=True))
        if place is not None:
            now[place] = ops.const(step)
        for node in changing:
            now[node] = rebuild(node, tuple(now.get(arg, arg) for arg in node.args))
        held = [now.get(node, node) for node in body]
        held = [ops.apply("real", node) for node in held]
    return held
