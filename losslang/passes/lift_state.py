"""In: slots with bounds. Out: slots without, each under the map that keeps it within its bounds.

A learned temperature above 0 is the exponential of a free parameter, as CLIP's is; between two bounds it is a
scaled sigmoid. Non-goals: naming slots (elaboration does) and filling them (the runtime does).
"""

from __future__ import annotations

import math

from losslang.diagnostics import error
from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, const
from losslang.ir.rewrite import transform


def lift_state(objective: Objective) -> Objective:
    """Replace every bounded slot by a function of a free one."""
    return transform(objective, _free)


def _free(node: Node) -> Node | None:
    if not isinstance(node, ir.Slot) or (node.lower is None and node.upper is None):
        return None
    lower, upper, init = node.lower, node.upper, _start(node)
    if lower is not None and upper is not None:
        share = (init - lower) / (upper - lower)
        raw = _slot(node, math.log(share / (1 - share)))
        inside = apply("mul", const(upper - lower), apply("sigmoid", raw))
        return apply("add", const(lower), inside)
    if lower is not None:
        return apply("add", const(lower), apply("exp", _slot(node, math.log(init - lower))))
    assert upper is not None
    return apply("sub", const(upper), apply("exp", _slot(node, math.log(upper - init))))


def _slot(node: ir.Slot, init: float) -> Node:
    return ir.intern(ir.Slot, (), node.axes, "real", node.key, init, None, None, node.dims)


def _start(node: ir.Slot) -> float:
    """Where a learned value starts: strictly inside its bounds, since at a bound its gradient would vanish."""
    init = node.init
    if not isinstance(init, ir.Noise):
        inside = (node.lower is None or node.lower < init) and (node.upper is None or init < node.upper)
        if inside:
            return init
    raise error(
        "LL0305",
        f"'{node.key}' is learned, so it must start inside its bounds",
        expected=" and ".join(
            f"{word} {limit:g}" for word, limit in (("above", node.lower), ("below", node.upper)) if limit is not None
        ),
        found="random numbers" if isinstance(init, ir.Noise) else f"{init:g}",
        hint="say where it starts: auto(1.0)",
    )
