"""What every objective must satisfy between passes; a violation is a defect of the compiler, so it is an assertion."""

from __future__ import annotations

from weakref import WeakSet

from losslang.ir import maps, ops
from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective, topological


def verify(objective: Objective) -> None:
    """Check every node of an objective and the shape of its parts."""
    for node in topological(objective.roots(), _unchecked):
        if node not in _sound:
            _check(node)
            _sound.add(node)
    names = [term.name for term in objective.terms]
    assert len(set(names)) == len(names), f"two terms have one name: {names}"
    keys = [update.key for update in objective.updates]
    assert len(set(keys)) == len(keys), f"two values are stored under one key: {keys}"
    for update in objective.updates:
        assert set(update.value.axes) <= set(update.dims), f"axes of {update.key}"
    if objective.total is not None:
        assert not objective.balancers, "a total and balancers"
        assert len(objective.weights) == len(objective.terms), "a weight for each term"
        held = [n for n in topological(objective.roots()) if isinstance(n, ir.TermValue)]
        assert not held, "a balancer's place is left open"


_sound: WeakSet[Node] = WeakSet()
"""The nodes that were checked already: a node never changes, and most outlive a pass."""


def _unchecked(node: Node) -> tuple[Node, ...]:
    return () if node in _sound else node.args


def _check(node: Node) -> None:
    assert tuple(sorted(node.axes, key=lambda axis: axis.key)) == node.axes, f"axes of {node} are out of order"
    match node:
        case ir.Op():
            info = ops.OPS[node.name]
            assert len(node.args) == info.arity, node.name
            assert node.axes == ops.merge(node.args), node.name
        case ir.Reduce():
            assert node.monoid in ops.MONOIDS, node.monoid
            assert set(node.over) <= set(ops.merge(node.args)), f"{node.monoid} over what is not there"
            assert not set(node.over) & set(node.axes), node.monoid
            assert len(node.args) < 2 or node.args[1].dtype == "bool", "a filter is a condition"
        case ir.Index():
            assert len(node.args) == len(node.along) + 1
            assert all(position.dtype == "int" for position in node.args[1:]), "an index is an integer"
            assert set(node.along) <= set(node.args[0].axes)
        case ir.Stack():
            assert node.axis in node.axes
            assert node.axis.size == len(node.args)
        case ir.Last() | ir.Slot() | ir.Draw():
            assert set(node.dims) == set(node.axes), node.key
        case ir.Map():
            assert node.name in maps.MAPS, node.name
            assert set(node.over) <= {axis for arg in node.args for axis in arg.axes}, f"{node.name} along nothing"
            assert set(node.into) <= set(node.axes), node.name
        case _:
            pass
