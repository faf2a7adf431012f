"""From an objective (all passes done) to one fx graph, for given ranks and working precision.

The graph takes the inputs, the learned slots, what is stored (each value with whether there is one), the clocks and the
random draws. It returns the total, which backpropagates, and, detached, the value, weight and share of every term as
vectors, then what is to be stored. A node's meta says which term it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword

import torch
from torch import fx, nn

from losslang.ir import nodes as ir
from losslang.ir.nodes import Node, Objective
from losslang.lowering.emit import Emitter, Operand
from losslang.lowering.models import planned
from losslang.lowering.rules import RULES, is_contraction, latest_places
from losslang.runtime import functional
from losslang.types import Axis, ordered


def lower(
    objective: Objective, ranks: Mapping[Axis, int], dtype: torch.dtype, networks: Mapping[str, nn.Module]
) -> fx.GraphModule:
    """The graph of an objective.

    Args:
        objective: with its total.
        ranks: how many dimensions each rest axis stands for.
        dtype: of real values: float32 or float64.
        networks: the feature networks by the text of their spec.
    """
    names = network_names(networks)
    root = nn.Module()
    for spec, network in networks.items():
        root.add_module(names[spec], network)
    graph, problems = graph_of(objective, ranks, dtype, names)
    for name, problem in problems.items():
        root.add_module(name, fx.GraphModule(nn.Module(), problem))
    return fx.GraphModule(root, graph, "Objective")


def network_names(specs: Iterable[str]) -> dict[str, str]:
    """What the graph calls each network."""
    known = list(specs)
    return {spec: f"net{place}" if len(known) > 1 else "net" for place, spec in enumerate(known)}


def graph_of(
    objective: Objective, ranks: Mapping[Axis, int], dtype: torch.dtype, networks: Mapping[str, str]
) -> tuple[fx.Graph, dict[str, fx.Graph]]:
    """The graph alone, and those of the functions that it minimises, by name.

    ``networks`` are the names of the feature networks, none of which is needed yet.
    """
    assert objective.total is not None
    emitter = Emitter(fx.Graph(), ranks, dtype, networks=dict(networks))
    _placeholders(emitter, objective)
    terms = _terms_of(objective)
    needed = _needed(objective)
    emitter.calls = planned(needed, objective.total)
    for node in needed:
        emitter.term = terms.get(node, "")
        emitter.note_scalar(node)
        emitter.values[node] = RULES[type(node)](emitter, node)
    _outputs(emitter, objective)
    emitter.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    return emitter.graph, emitter.problems


OWN = ("self", "torch", "device", "inf", "nan", "getattr", "NoneType", "fx_pytree")
"""Names that the code which fx writes has for itself."""


def _placeholders(emitter: Emitter, objective: Objective) -> None:
    taken: set[str] = set()

    def placeholder(key: str) -> fx.Node:
        name = key.replace(".", "_")
        while name in taken or iskeyword(name) or name in OWN:
            name += "_"
        taken.add(name)
        return emitter.graph.placeholder(name)

    for node in objective.inputs:
        emitter.values[node] = placeholder(node.name)
        emitter.anchor(emitter.values[node], node.dims)
        if emitter.like is None:
            emitter.like = emitter.values[node]
    for model in objective.models:
        emitter.callees[model.name] = placeholder(model.name)
    for slot in objective.slots():
        emitter.values[slot] = placeholder(slot.key)
    for update in objective.updates:
        emitter.stored[update.key] = placeholder(update.key), placeholder(f"has_{update.key}")
    for name in objective.clocks():
        emitter.values[ir.intern(ir.Clock, (), (), "int", name)] = placeholder(name)
    for draw in objective.draws():
        emitter.values[draw] = placeholder(draw.key)


def _needed(objective: Objective) -> list[Node]:
    """The nodes to emit, operands first; the product inside a contraction is not one of them."""
    made = ir.makers(_roots(objective))
    return ir.topological(_roots(objective), lambda node: _emitted_operands(node, made))


def _emitted_operands(node: Node, made: Mapping[Axis, Node]) -> tuple[Node, ...]:
    if not isinstance(node, ir.Reduce):
        return ir.measured(node, made)
    places = latest_places(node)
    if places is not None:
        return tuple(arg for arg in places[1:] if arg is not None)
    return node.args[0].args if is_contraction(node) else node.args


def _roots(objective: Objective) -> list[Node]:
    assert objective.total is not None
    stored = (update.value for update in objective.updates)
    return [objective.total, *(term.value for term in objective.terms), *objective.weights, *stored]


def _terms_of(objective: Objective) -> dict[Node, str]:
    """The first term that needs each node."""
    owner: dict[Node, str] = {}
    for term in objective.terms:
        stack = [term.value]
        while stack:
            node = stack.pop()
            if node not in owner:
                owner[node] = term.name
                stack += node.args
    return owner


def _outputs(emitter: Emitter, objective: Objective) -> None:
    """Total, then values, weights and shares; rows, where nothing reduces them, stand alone."""
    assert objective.total is not None
    total = emitter.tensor(objective.total)
    values = [emitter.tensor(term.value) for term in objective.terms]
    weights = [emitter.tensor(weight) for weight in objective.weights]
    kept = _stored(emitter, objective)
    if any(term.value.axes for term in objective.terms):
        rows = emitter.method("detach", values[0])
        emitter.graph.output((total, rows, weights[0], weights[0], *kept))
        return
    stacked = emitter.method("detach", emitter.call(torch.stack, values))
    weighed = emitter.method("detach", emitter.call(torch.stack, weights))
    emitter.graph.output((total, stacked, weighed, emitter.call(functional.shares, stacked, weighed), *kept))


def _stored(emitter: Emitter, objective: Objective) -> list[Operand]:
    """The values to be stored, each a tensor of its own: nothing that a caller holds is a view of it."""
    held = {objective.total, *(term.value for term in objective.terms), *objective.weights}
    kept: list[Operand] = []
    for update in objective.updates:
        value, axes = _whole(emitter, update), ordered(set(update.dims))
        alone = update.value not in held and axes == update.value.axes == update.dims and _is_made(update.value)
        kept.append(value if alone else emitter.method("clone", value, memory_format=torch.contiguous_format))
        held.add(update.value)
    return kept


def _whole(emitter: Emitter, update: ir.Update) -> Operand:
    """A value with all of its dimensions and without gradient."""
    node, axes = update.value, ordered(set(update.dims))
    value = emitter.align_value(emitter.tensor(node), node.axes, axes)
    if node.axes != axes:
        value = emitter.method("expand", value, emitter.extents(axes))
    return emitter.method("detach", emitter.permute(value, axes, update.dims))


def _is_made(node: Node) -> bool:
    """Whether a node's value is a new tensor, and no view of another one."""
    return isinstance(node, ir.Last) or (isinstance(node, ir.Op) and node.name not in ("stop", "real"))


def ranks(inputs: Sequence[ir.Input], dims: Mapping[str, int]) -> dict[Axis, int]:
    """How many dimensions each rest axis stands for, from the number of dimensions of each input."""
    found: dict[Axis, int] = {}
    for node in inputs:
        fixed = sum(not axis.rest for axis in node.dims)
        for axis in node.dims:
            if axis.rest:
                found[axis] = dims[node.name] - fixed
    return found
