"""How passes rebuild the DAG: bottom-up, each node once, no recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from losslang.ir import maps, ops
from losslang.ir import nodes as ir
from losslang.ir.models import model, model_vjp
from losslang.ir.nodes import Node, Objective, topological


def rebuild(node: Node, args: tuple[Node, ...]) -> Node:
    """The node over other operands, in normal form."""
    if all(new is old for new, old in zip(args, node.args, strict=True)):
        return node
    match node:
        case ir.Op():
            return ops.apply(node.name, *args)
        case ir.Reduce():
            return ops.reduce(node.monoid, args[0], node.over, *args[1:])
        case ir.Index():
            return ops.index(args[0], dict(zip(node.along, args[1:], strict=True)))
        case ir.Stack():
            return ops.stack(node.axis, args)
        case ir.Map():
            return maps.rebuilt(node, args)
        case ir.Model():
            return model(node.call, args)
        case ir.ModelVjp():
            return ops.const(0.0) if ops.is_const(args[-1], 0) else model_vjp(node.call, args, node.steps)
        case _:
            return ir.intern(type(node), args, node.axes, node.dtype, *ir.attributes(node))


def substitute(
    roots: Iterable[Node], replace: Callable[[Node], Node | None], settled: set[Node] | None = None
) -> dict[Node, Node]:
    """What every node under the roots becomes when ``replace`` rewrites each after its operands.

    ``replace`` sees the node over its new operands and answers the replacement, or None to keep it. What is in
    ``settled`` is not looked at; what neither changes nor has operands that do is added to it.
    """
    known = set[Node]() if settled is None else settled
    new: dict[Node, Node] = {}
    for node in topological(roots, lambda node: () if node in known else node.args):
        if node in known:
            new[node] = node
            continue
        rebuilt = rebuild(node, tuple(new[arg] for arg in node.args))
        found = replace(rebuilt)
        new[node] = rebuilt if found is None else found
        if found is None and rebuilt is node:
            known.add(node)
    return new


def transform(
    objective: Objective, replace: Callable[[Node], Node | None], settled: set[Node] | None = None
) -> Objective:
    """An objective with every node rewritten bottom-up; the same object where nothing changed."""
    new = substitute(objective.roots(), replace, settled)
    if all(new[root] is root for root in objective.roots()):
        return objective
    return objective.map(new.__getitem__)


def fixpoint(objective: Objective, replace: Callable[[Node], Node | None], limit: int = 20) -> Objective:
    """``transform`` until nothing changes; what has settled is not looked at again."""
    settled: set[Node] = set()
    for _ in range(limit):
        changed = transform(objective, replace, settled)
        if changed is objective:
            break
        objective = changed
    return objective
