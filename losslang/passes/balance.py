"""In: terms and the balancers over them. Out: one total, and the weight of each term in its gradient.

A term that no balancer takes enters with its nominal weight. What is reported as a term's weight is the
derivative of the total by the term's value, taken on the IR: true for any balancer, with nothing to keep in
step by hand.
"""

from __future__ import annotations

from dataclasses import replace

from losslang.ir import nodes as ir
from losslang.ir.grad import gradients
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, const
from losslang.ir.rewrite import substitute


def balance(objective: Objective) -> Objective:
    """Splice the balancers in."""
    if objective.total is not None:
        return objective
    places = {term.name: ir.intern(ir.TermValue, (), (), "real", term.name) for term in objective.terms}
    balanced = {name for balancer in objective.balancers for name in balancer.terms}
    parts: list[Node] = [balancer.total for balancer in objective.balancers]
    parts += [apply("mul", t.weight, places[t.name]) for t in objective.terms if t.name not in balanced]
    total = _sum(parts)
    weights = gradients(total, [places[term.name] for term in objective.terms])
    values: dict[Node, Node] = {places[term.name]: term.value for term in objective.terms}
    stored = [update.value for update in objective.updates]
    filled = substitute([total, *weights, *stored], values.get)
    return replace(
        objective,
        balancers=(),
        total=filled[total],
        weights=tuple(filled[weight] for weight in weights),
        updates=tuple(ir.Update(u.key, filled[u.value], u.dims) for u in objective.updates),
    )


def _sum(parts: list[Node]) -> Node:
    """A balanced tree: a thousand terms are ten levels deep."""
    if not parts:
        return const(0.0)
    while len(parts) > 1:
        pairs = [apply("add", a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *parts[len(pairs) * 2 :]]
    return parts[0]
