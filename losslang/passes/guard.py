"""Inputs that a filter or an untaken branch excludes, wherever they are used, are replaced by a harmless number.

The value of a masked sum never sees what the mask excludes, but torch's autograd multiplies the 0 that comes back from
there with the derivative at the excluded element, and 0 times inf or nan is nan. So an input whose every use is under a
filter is read as ``(x if filter else 0.5)``: depth maps with nan where there is no depth train. What decides is a
condition on data (a mask, a label to ignore), not on index variables: those exclude nothing that a caller passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Objective
from losslang.ir.rewrite import rebuild
from losslang.types import Axis

HARMLESS = 0.5
"""Inside the domain of log, sqrt, division and log(1 - x)."""


def guard(objective: Objective) -> Objective:
    """The objective with guarded inputs; the same object where there is nothing to guard."""
    order = ir.topological(objective.roots())
    filters = _filters(order)
    above = _above(objective, order, filters) if filters else {}
    guarded: dict[Node, frozenset[Node]] = {
        x: above[x] for x in order if isinstance(x, ir.Input) and x.dtype == "real" and above.get(x)
    }
    if not guarded:
        return objective
    new: dict[Node, Node] = {}
    for node in order:
        if node in filters:
            new[node] = node  # a filter reads what is really there
            continue
        rebuilt = rebuild(node, tuple(new[arg] for arg in node.args))
        for condition in sorted(guarded.get(node, frozenset()), key=ops.signature):
            rebuilt = ops.apply("where", condition, rebuilt, ops.const(HARMLESS))
        new[node] = rebuilt
    return objective.map(lambda root: new[root])


def conditions_of_use(objective: Objective) -> dict[Node, frozenset[Node]]:
    """The conditions on data that hold wherever each node is used."""
    order = ir.topological(objective.roots())
    filters = _filters(order)
    return _above(objective, order, filters) if filters else {}


def _filters(order: Iterable[Node]) -> set[Node]:
    return {part for node in order for part in _conjuncts(_filter(node))}


def _above(objective: Objective, order: list[Node], filters: set[Node]) -> dict[Node, frozenset[Node]]:
    """The filters that hold wherever a node is used; a filter itself is no use of what it reads."""
    above: dict[Node, frozenset[Node]] = dict.fromkeys(objective.roots(), frozenset())
    for node in reversed(order):
        if node not in above or node in filters:
            continue
        for place, arg in enumerate(node.args):
            holds = set(_along(node, above[node], place))
            holds |= {*_conjuncts(_filter(node))} if _is_filtered(node, place) else set()
            if ops.is_op(node, "and"):
                holds |= {*_conjuncts(node.args[1 - place])}
            passed = frozenset(condition for condition in holds if set(condition.axes) <= set(arg.axes))
            above[arg] = above[arg] & passed if arg in above else passed
    return above


def _filter(node: Node) -> Node | None:
    """The condition of a filtered reduction or a branch."""
    if isinstance(node, ir.Reduce) and len(node.args) == 2:
        return node.args[1]
    return node.args[0] if ops.is_op(node, "where") else None


def _is_filtered(node: Node, place: int) -> bool:
    """Whether an operand is used only where the condition holds."""
    return place == (0 if isinstance(node, ir.Reduce) else 1)


def _along(node: Node, conditions: Iterable[Node], place: int) -> Iterator[Node]:
    """Conditions on a value as conditions on an operand: an indexing and a map move elements."""
    if isinstance(node, ir.Map):
        moved = {*node.over, *node.into}
        yield from (condition for condition in conditions if not moved & set(condition.axes))
        return
    if not isinstance(node, ir.Index) or place:
        yield from conditions
        return
    positions = dict(zip(node.along, node.args[1:], strict=True))
    back: dict[Axis, Node] = {}
    for axis, position in positions.items():
        if isinstance(position, ir.Iota) and position.axes[0] not in node.args[0].axes:
            back[position.axes[0]] = ops.iota(axis)
    for condition in conditions:
        if not set(condition.axes) & set(positions) and set(condition.axes) <= {*back, *node.args[0].axes}:
            yield ops.index(condition, back)


def _conjuncts(condition: Node | None) -> Iterator[Node]:
    """The parts of a condition that say which data exists."""
    stack = [condition] if condition is not None else []
    while stack:
        node = stack.pop()
        if ops.is_op(node, "and"):
            stack += node.args
        elif node.axes and _is_about_data(node):
            yield node


def _is_about_data(condition: Node) -> bool:
    """Whether a condition compares what a caller passed; under which index variables does not count."""
    stack, seen = [condition], {condition}
    while stack:
        node = stack.pop()
        if isinstance(node, ir.Iota | ir.Reduce):
            return False
        operands = node.args[:1] if isinstance(node, ir.Index) else node.args
        fresh = [arg for arg in operands if arg not in seen]
        stack += fresh
        seen.update(fresh)
    return any(isinstance(node, ir.Input) for node in seen)
