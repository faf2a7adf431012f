"""Models in a graph: each runs once for a value, and the derivatives by several of its operands are taken together."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import fx

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.models import operand_dims, result_dims, rows_of
from losslang.ir.nodes import Node
from losslang.lowering.emit import Emitter, Operand
from losslang.runtime import models
from losslang.types import Axes, Axis, ordered

Key: TypeAlias = tuple[ir.ModelCall, tuple[Node, ...], tuple[int, ...]]
"""What is run: a model on operands, or a derivative of that with its cotangents."""


@dataclass
class Calls:
    """The calls of models in one graph: what is asked of each, and what it gave."""

    live: set[Node]
    """The nodes through which the total is differentiated in the end."""
    tracked: set[Key] = field(default_factory=set[Key])
    """What is differentiated inside the graph."""
    living: set[Key] = field(default_factory=set[Key])
    wanted: dict[tuple[Key, Node], list[int]] = field(default_factory=dict[tuple[Key, Node], list[int]])
    """By which operands each run is differentiated, for a cotangent."""
    runs: dict[Key, fx.Node] = field(default_factory=dict[Key, fx.Node])
    results: dict[Key, fx.Node] = field(default_factory=dict[Key, fx.Node])
    cotangents: dict[tuple[Key, Node], tuple[fx.Node, fx.Node]] = field(
        default_factory=dict[tuple[Key, Node], tuple[fx.Node, fx.Node]]
    )
    origins: dict[Axis, tuple[fx.Node, int, int]] = field(default_factory=dict[Axis, tuple[fx.Node, int, int]])
    """For ``...`` of a model's result: its run, and how many dimensions stand before and behind."""


def planned(nodes: Sequence[Node], total: Node) -> Calls:
    """What is asked of the calls among some nodes."""
    calls = Calls(_differentiated(total))
    for node in nodes:
        if isinstance(node, ir.Model | ir.ModelVjp):
            steps = node.steps if isinstance(node, ir.ModelVjp) else ()
            _note(calls, (node.call, node.args, steps), node in calls.live)
    return calls


def _note(calls: Calls, key: Key, live: bool) -> None:
    """A derivative needs what it is a derivative of."""
    while True:
        if live:
            calls.living.add(key)
        call, args, steps = key
        if not steps:
            return
        base = (call, args[:-1], steps[:-1])
        calls.tracked.add(base)
        places = calls.wanted.setdefault((base, args[-1]), [])
        if steps[-1] not in places:
            places.append(steps[-1])
        key = base


def _differentiated(total: Node) -> set[Node]:
    """The real values through which autograd goes from the total: not what stands under a stop."""
    found: set[Node] = set()
    waiting = [total]
    while waiting:
        node = waiting.pop()
        if node.dtype == "real" and node not in found:
            found.add(node)
            ends = ops.is_op(node, "stop") or isinstance(node, ir.Minimum)
            waiting += () if ends else node.args
    return found


# ------------------------------------------------------------------------------------------ rules
def lower_model(emitter: Emitter, node: ir.Model) -> Operand:
    """What a model gives, checked against its type."""
    key = (node.call, node.args, ())
    _run(emitter, key)
    return emitter.permute(emitter.calls.results[key], node.call.gives, node.axes)


def lower_model_vjp(emitter: Emitter, node: ir.ModelVjp) -> Operand:
    """A cotangent, in the dimensions that the graph has for its axes."""
    found, _ = _cotangent(emitter, (node.call, node.args, node.steps))
    dims = result_dims(node.call, node.args, node.steps)
    if any(axis in emitter.calls.origins for axis in dims):
        found = emitter.method("reshape", found, [n for axis in dims for n in emitter.lengths(axis)])
    found = emitter.permute(found, dims, node.axes)
    return emitter.method("to", found, emitter.dtype)


def _run(emitter: Emitter, key: Key) -> fx.Node:
    """The run that a derivative is taken of, emitted once."""
    calls = emitter.calls
    if key not in calls.runs:
        call, args, steps = key
        calls.runs[key] = _forward(emitter, key, call, args) if not steps else _derived(emitter, key)
    return calls.runs[key]


def _forward(emitter: Emitter, key: Key, call: ir.ModelCall, args: tuple[Node, ...]) -> fx.Node:
    calls, callee = emitter.calls, emitter.callees[call.model.name]
    flags = (call.frozen, key in calls.living, key in calls.tracked)
    operands = [_operand(emitter, arg, operand_dims(call, args, (), place)) for place, arg in enumerate(args)]
    made = emitter.call(models.run, callee, *flags, *operands)
    extents: list[Operand] = []
    rest = -1
    for axis in call.gives:
        if axis.rest and axis not in emitter.ranks:
            rest = len(extents)
            extents.append(None)
            calls.origins.setdefault(axis, (made, rest, emitter.dims(call.gives) - rest - 1))
        elif axis.root.size is not None or axis.root in emitter.anchors:
            extents += emitter.lengths(axis)
        else:
            extents.append(None)
    y = emitter.method("to", emitter.call(models.result, callee, made, extents, rest), emitter.dtype)
    emitter.anchor(y, call.gives)
    calls.results[key] = y
    return made


def _operand(emitter: Emitter, node: Node, dims: Axes) -> fx.Node:
    """A value in the order and with all the dimensions in which a model takes it."""
    axes = ordered(set(dims))
    value = emitter.permute(emitter.full(node, axes), axes, dims)
    place = 0
    for axis in dims:
        if axis in emitter.calls.origins:
            made, before, behind = emitter.calls.origins[axis]
            value = emitter.call(models.unmerged, value, place, made, before, behind)
        place += emitter.rank(axis)
    return value


def _cotangent(emitter: Emitter, key: Key) -> tuple[fx.Node, fx.Node]:
    """A derivative of a run, and the cotangent that it was contracted with."""
    call, args, steps = key
    base = (call, args[:-1], steps[:-1])
    places = emitter.calls.wanted[base, args[-1]]
    known = emitter.calls.cotangents
    if (base, args[-1]) not in known:
        made = _run(emitter, base)
        dims = result_dims(call, args[:-1], steps[:-1])
        rows = rows_of(args[-1], dims)
        axes = ordered({*rows, *dims})
        g = emitter.permute(emitter.full(args[-1], axes), axes, (*rows, *dims))
        further = [(call, args, (*steps[:-1], place)) for place in places]
        tracked, live = (
            any(k in emitter.calls.tracked for k in further),
            any(k in emitter.calls.living for k in further),
        )
        if tracked:
            g = emitter.call(models.operand, made, g)
        known[base, args[-1]] = emitter.call(models.vjp, made, tuple(places), g, emitter.dims(rows), live, tracked), g
    found, g = known[base, args[-1]]
    return emitter.call(operator.getitem, found, places.index(steps[-1])), g


def _derived(emitter: Emitter, key: Key) -> fx.Node:
    cotangent, g = _cotangent(emitter, key)
    call, args, steps = key
    return emitter.call(models.derived, _run(emitter, (call, args[:-1], steps[:-1])), g, cotangent)
