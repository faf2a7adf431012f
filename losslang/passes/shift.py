"""In: ``logsumexp``. Out: the largest element, and the logarithm of a sum of exponentials that are at most 1.

``logsumexp(x) = m + log(sum(exp(x - m)))`` with ``m = max(x)``. The two parts enter a difference one by one:
``a - logsumexp(x) = (a - m) - log(sum(exp(x - m)))`` keeps its digits where logits are large, and
``sum(x - logsumexp(x))`` needs no sweep of its own. Comes last: what equals what is decided by then.
Non-goals: filters stay what they are; the shift has no gradient, since the value does not depend on it.
"""

from __future__ import annotations

import math

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, const, is_op, reduce
from losslang.ir.rewrite import fixpoint

LOWEST = -3e38
"""Below every float32 number that is met: the shift of a row of which nothing is left."""


def shift(objective: Objective) -> Objective:
    """Write every logsumexp out and keep its parts apart."""
    return fixpoint(objective, _rule)


def _rule(node: Node) -> Node | None:
    match node:
        case ir.Reduce(monoid="logsumexp"):
            return _written_out(node)
        case ir.Op(name="sub", args=(a, ir.Op(name="add") as whole)) if (parts := _parts(whole)) is not None:
            return apply("sub", apply("sub", a, parts[0]), parts[1])
        case ir.Op(name="sub", args=(ir.Op(name="add") as whole, a)) if (parts := _parts(whole)) is not None:
            return apply("add", apply("sub", parts[0], a), parts[1])
        case ir.Reduce(monoid="sum", args=(ir.Op(name="sub", args=(shifted, mass)),)) if _is_mass(mass):
            if set(mass.axes) & set(node.over) or not set(mass.axes) <= set(node.axes):
                return None
            return apply("sub", reduce("sum", shifted, node.over), reduce("sum", mass, node.over))
        case _:
            return None


def _written_out(node: ir.Reduce) -> Node:
    x, *mask = node.args
    peak = apply("stop", reduce("max", x, node.over, *mask))
    if mask or _may_be_absent(x):
        peak = apply("max", peak, const(LOWEST))
    shifted = apply("sub", x, peak)
    if mask:
        shifted = apply("where", mask[0], shifted, const(-math.inf))
    return apply("add", peak, apply("log", reduce("sum", apply("exp", shifted), node.over)))


def _may_be_absent(x: Node) -> bool:
    """Whether all elements may be -inf: the logsumexp or maximum of what may be nothing is among them."""
    return any(_is_absence(node) for node in ir.topological([x]))


def _is_absence(node: Node) -> bool:
    if isinstance(node, ir.Reduce):
        return node.monoid in ("max", "logsumexp") and len(node.args) > 1
    return isinstance(node, ir.Const) and node.value == -math.inf


def _parts(node: ir.Op) -> tuple[Node, Node] | None:
    """The shift and the logarithm of the sum."""
    for first, second in (node.args, node.args[::-1]):
        if _is_mass(second) and (is_op(first, "max") or is_op(first, "stop")):
            return first, second
    return None


def _is_mass(node: Node) -> bool:
    match node:
        case ir.Op(name="log", args=(ir.Reduce(monoid="sum", args=(ir.Op(name="exp"),)),)):
            return True
        case _:
            return False
