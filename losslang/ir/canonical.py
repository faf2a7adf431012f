"""A hash of what an objective computes, which neither the names of axes nor the order of operands change.

Non-goal: equal hashes for all that is equal. Two formulas for one function hash alike only where normal forms and the
pass ``simplify`` make them one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, cast

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import OPS
from losslang.types import Axis


def digest(objective: Objective) -> str:
    """The hash of a whole objective: inputs, terms with their names, balancers, and what is stored."""
    shape = Shape(objective.inputs)
    lines = [f"input {node.name} {shape.of(node)}" for node in objective.inputs]
    lines += [f"term {term.name} {shape.of(term.weight)} {shape.of(term.value)}" for term in objective.terms]
    lines += [f"balancer {b.name} {sorted(b.terms)} {shape.of(b.total)}" for b in objective.balancers]
    lines += [f"total {shape.of(objective.total)}"] if objective.total is not None else []
    lines += [f"weight {shape.of(node)}" for node in objective.weights]
    lines += [f"update {update.key} {shape.of(update.value)}" for update in objective.updates]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Shape:
    """Names nodes by what they are. Axes are known by their place among the inputs, or by what made them."""

    def __init__(self, inputs: Iterable[ir.Input]) -> None:
        self.axes: dict[Axis, str] = {}
        for node in inputs:
            for axis in (*node.dims, *((node.bound,) if node.bound is not None else ())):
                self.axes.setdefault(axis.root, f"a{len(self.axes)}")
        self.known: dict[Node, str] = {}

    def of(self, node: Node) -> str:
        """The name of a node; iterative."""
        for inner in ir.topological([node]):
            if inner not in self.known:
                self.known[inner] = self._named(inner)
        return self.known[node]

    def _named(self, node: Node) -> str:
        args = [self.known[arg] for arg in node.args]
        if isinstance(node, ir.Op) and OPS[node.name].commutes:
            args.sort()
        parts = [type(node).__name__, node.dtype, *(self._shown(value) for value in ir.attributes(node)), *args]
        parts += sorted(map(self._axis, node.axes))
        return hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()

    def _shown(self, value: Any) -> str:
        match value:
            case Axis():
                return self._axis(value)
            case Node():
                return self.of(value)
            case tuple():
                return f"({','.join(self._shown(one) for one in cast('tuple[Any, ...]', value))})"
            case _ if is_dataclass(value) and not isinstance(value, type):
                return f"{type(value).__name__}{[self._shown(getattr(value, f.name)) for f in fields(value)]}"
            case _:
                return repr(value)

    def _axis(self, axis: Axis) -> str:
        if axis in self.axes:
            return f"{self.axes[axis]}:{axis.size}{'...' if axis.rest else ''}"
        if axis.parent is None:
            return f"{axis.name}:{axis.size}:{axis.made}"
        made = axis.name.removeprefix(axis.parent.name)
        return f"{self._axis(axis.parent)}/{axis.ordinal}/{made}:{axis.size}"
