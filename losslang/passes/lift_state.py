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
    lower, upper = node.lower, node.upper
    _check(node)
    if lower is not None and upper is not None:
        share = (node.init - lower) / (upper - lower)
        raw = _slot(node, math.log(share / (1 - share)))
        inside = apply("mul", const(upper - lower), apply("sigmoid", raw))
        return apply("add", const(lower), inside)
    if lower is not None:
        return apply("add", const(lower), apply("exp", _slot(node, math.log(node.init - lower))))
    assert upper is not None
    return apply("sub", const(upper), apply("exp", _slot(node, math.log(upper - node.init))))


def _slot(node: ir.Slot, init: float) -> Node:
    return ir.intern(ir.Slot, (), (), "real", node.key, init, None, None)


def _check(node: ir.Slot) -> None:
    """A learned value starts strictly inside its bounds: at a bound its gradient would vanish."""
    at_lower = node.lower is not None and node.init <= node.lower
    at_upper = node.upper is not None and node.init >= node.upper
    if at_lower or at_upper:
        raise error(
            "LL0305",
            f"'{node.key}' is learned, so it must start inside its bounds",
            expected=" and ".join(
                f"{word} {limit:g}"
                for word, limit in (("above", node.lower), ("below", node.upper))
                if limit is not None
            ),
            found=f"{node.init:g}",
            hint="say where it starts: auto(1.0)",
        )
