"""Writes one fx graph: keeps which dimensions each value has, and aligns operands by dimensions of 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import fx

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node
from losslang.runtime import functional
from losslang.types import Axes, Axis, DType, places

Operand: TypeAlias = Any
"""An fx node, or a Python number where the value is known or an extent."""


@dataclass
class Emitter:
    """The graph under construction.

    ``ranks`` says how many dimensions each rest axis stands for; ``dtype`` is that of real values.
    """

    graph: fx.Graph
    ranks: Mapping[Axis, int]
    dtype: torch.dtype
    values: dict[Node, Operand] = field(default_factory=dict[Node, Operand])
    anchors: dict[Axis, tuple[fx.Node, int]] = field(default_factory=dict[Axis, "tuple[fx.Node, int]"])
    """Where the extent of an axis is read: a value and its first dimension."""
    stored: dict[str, tuple[fx.Node, fx.Node]] = field(default_factory=dict[str, "tuple[fx.Node, fx.Node]"])
    """What the training calls before have stored by key, and whether there was one."""
    networks: dict[str, str] = field(default_factory=dict[str, str])
    features: dict[tuple[str, Node], fx.Node] = field(default_factory=dict[tuple[str, Node], fx.Node])
    scalars: set[Node] = field(default_factory=set[Node])
    """Nodes whose value is a Python number in the graph: constants, extents and arithmetic of them."""
    like: fx.Node | None = None
    """An input whose device new tensors take."""

    callees: dict[str, fx.Node] = field(default_factory=dict[str, fx.Node])
    """The models that the caller passes, by name."""
    calls: Any = None
    """`lowering.models.Calls`: what is asked of them."""
    problems: dict[str, fx.Graph] = field(default_factory=dict[str, fx.Graph])
    """The functions that are minimised, by the name under which the graph's module holds them."""

    term: str = ""
    """The term that is being emitted: runtime errors name it."""

    def call(self, function: Any, *args: Any, **options: Any) -> fx.Node:
        """A call in the graph."""
        return self._noted(self.graph.call_function(function, args, options))

    def method(self, name: str, *args: Any, **options: Any) -> fx.Node:
        """A method call in the graph."""
        return self._noted(self.graph.call_method(name, args, options))

    def module(self, name: str, *args: Any) -> fx.Node:
        """A call of a module in the graph."""
        return self._noted(self.graph.call_module(name, args))

    def attribute(self, path: str) -> fx.Node:
        """A tensor that a module of the graph holds."""
        return self._noted(self.graph.get_attr(path))

    def _noted(self, made: fx.Node) -> fx.Node:
        made.meta["term"] = self.term
        return made

    # -------------------------------------------------------------------------------- dimensions
    def rank(self, axis: Axis) -> int:
        """How many dimensions an axis stands for."""
        return self.ranks.get(axis.root, 1) if axis.rest else 1  # that of a model's own ``...`` is 1: merged

    def places(self, over: Sequence[Axis], axes: Axes) -> list[int]:
        """The dimensions of axes within a value's dimensions."""
        return places(over, axes, self.rank)

    def dims(self, axes: Axes) -> int:
        """How many dimensions a value with these axes has."""
        return sum(self.rank(axis) for axis in axes)

    def align(self, node: Node, axes: Axes) -> Operand:
        """A value that broadcasts over ``axes``: a dimension of 1 where it lacks one that is not leading."""
        return self.align_value(self.values[node], node.axes, axes)

    def align_value(self, value: Operand, own: Axes, axes: Axes) -> Operand:
        """`align` for a value that is no node of its own."""
        if not isinstance(value, fx.Node) or not own or own == axes:
            return value
        missing: list[int] = []
        place = 0
        started = False
        for axis in axes:
            width = self.rank(axis)
            if axis in own:
                started = started or width > 0
            elif started:
                missing += range(place, place + width)
            if started:
                place += width
        for dim in missing:
            value = self.method("unsqueeze", value, dim)
        return value

    def permute(self, value: fx.Node, have: Axes, want: Axes) -> fx.Node:
        """Dimensions brought into another order of the same axes."""
        order = [place for axis in want for place in self.places((axis,), have)]
        return value if order == sorted(order) else self.method("permute", value, order)

    # -------------------------------------------------------------------------------- extents and constants
    def anchor(self, value: fx.Node, axes: Axes) -> None:
        """Note where the extents of these axes can be read."""
        place = 0
        for axis in axes:
            self.anchors.setdefault(axis.root, (value, place))
            place += self.rank(axis)

    def extent(self, axis: Axis) -> Operand:
        """The extent of an axis (the product, where a rest axis stands for several dimensions)."""
        root = axis.root
        if root.size is not None:
            return root.size
        value, place = self.anchors[root]
        total: Operand = 1
        for dim in range(place, place + self.rank(root)):
            length = self.method("size", value, dim)
            total = length if total == 1 else self.call(_mul, total, length)
        return total

    def extents(self, axes: Axes) -> list[Operand]:
        """The extent of each dimension of a value with these axes."""
        found: list[Operand] = []
        for axis in axes:
            if axis.root.size is not None:
                found.append(axis.root.size)
                continue
            value, place = self.anchors[axis.root]
            found += [self.method("size", value, dim) for dim in range(place, place + self.rank(axis))]
        return found

    def lengths(self, axis: Axis) -> list[Operand]:
        """The extent of each dimension that an axis stands for."""
        if not axis.rest:
            return [self.extent(axis)]
        value, place = self.anchors[axis.root]
        return [self.method("size", value, dim) for dim in range(place, place + self.rank(axis))]

    def full(self, node: Node, axes: Axes) -> fx.Node:
        """A value with every dimension of these axes at its full extent."""
        value = self.align_value(self.tensor(node), node.axes, axes)
        if set(axes) <= set(node.axes):
            return value
        return self.method("expand", value, [length for axis in axes for length in self.lengths(axis)])

    def indices(self, axis: Axis, step: int = 0) -> fx.Node:
        """0, 1, 2, ... along an axis (along one of its dimensions, where a rest axis has several)."""
        assert self.like is not None
        length = self.extent(axis)
        if axis.rest:
            value, place = self.anchors[axis.root]
            length = self.method("size", value, place + step)
        return self.call(functional.indices, self.like, length)

    def number(self, value: float | Operand, dtype: DType = "real") -> fx.Node:
        """A number as a tensor without dimensions."""
        assert self.like is not None
        kinds = {"real": self.dtype, "int": torch.int64, "bool": torch.bool}
        return self.method("new_full", self.like, (), value, dtype=kinds[dtype])

    def tensor(self, node: Node) -> fx.Node:
        """A node's value as a tensor, also where it is a number."""
        return self.number(self.values[node], node.dtype) if node in self.scalars else self.values[node]

    def note_scalar(self, node: Node) -> None:
        """Learn whether a node about to be emitted is a Python number."""
        arithmetic = isinstance(node, ir.Op) and node.name in SCALAR_OPS
        if isinstance(node, (ir.Const, ir.Size)) or (arithmetic and all(arg in self.scalars for arg in node.args)):
            self.scalars.add(node)


SCALAR_OPS = ("add", "sub", "mul", "div", "neg", "real")
"""Operations that stay Python arithmetic on extents."""


def _mul(a: Any, b: Any) -> Any:
    return a * b
