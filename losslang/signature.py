"""What a module knows of its objective: what a call brings, and what is learned, stored or drawn."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from losslang.diagnostics import did_you_mean, error
from losslang.ir import nodes as ir
from losslang.ir.nodes import Node
from losslang.passes.guard import conditions_of_use
from losslang.sema.lint import normalisers
from losslang.types import Axes, Axis

if TYPE_CHECKING:
    import torch

    from losslang.runtime.module import Signature, SlotSpec
    from losslang.runtime.state import Needs


def signature(objective: ir.Objective, inputs: Sequence[ir.Input]) -> Signature:
    """The inputs of an objective as elaborated, or those of them that the passes left, and its models."""
    from losslang.runtime.checks import Dim, InputSpec, ModelSpec
    from losslang.runtime.module import Signature

    ignored, indexed, users = _ignored(objective), _indexed(objective), _users(objective)
    filters = conditions_of_use(objective)
    free, softmaxed, deciding = _unconditional(objective, filters), _softmaxed(objective), _leaves(filters.values())
    least = _least(objective)

    def spec(node: ir.Input) -> InputSpec:
        dims = tuple(Dim(str(axis.name), axis.root.size, axis.rest, least.get(axis.root, 0)) for axis in node.dims)
        bound = node.bound if node in free else None
        return InputSpec(
            node.name,
            node.type_text,
            dims,
            node.kind.name,
            node.kind.dtype,
            node.kind.range,
            None if bound is None else bound.name,
            None if bound is None else bound.root.size,
            tuple(ignored.get(node, ())),
            tuple(indexed.get(node, ())) if node in free else (),
            objective.origin.inputs.get(node.name),
            tuple(users.get(node.name, ())),
            tuple(axis.name for axis in node.dims if axis.root in softmaxed.get(node, ())),
            node in deciding,
            *places.get(node.name, ("", ())),
        )

    def model(one: ir.ModelInput) -> ModelSpec:
        terms = tuple(users.get(one.name, ()))
        return ModelSpec(one.name, one.type_text, objective.origin.terms.get(terms[0]) if terms else None, terms)

    models = tuple(map(model, objective.models))
    places = {leaf: (held.name, place) for held in objective.lists for leaf, place in ir.leaves(held.items)}
    lists = tuple((held.name, ir.counts(held.items)) for held in objective.lists)
    return Signature(tuple(map(spec, inputs)), models, lists)


def _ignored(objective: ir.Objective) -> dict[Node, dict[int, None]]:
    """The values that the objective compares inputs of whole numbers with, to leave them out."""
    found: dict[Node, dict[int, None]] = {}
    for node in ir.topological(objective.roots()):
        if isinstance(node, ir.Op) and node.name in ("eq", "ne"):
            sides = [_base(arg) for arg in node.args]
            numbers = [int(side.value) for side in sides if isinstance(side, ir.Const) and math.isfinite(side.value)]
            for side in sides:
                found.setdefault(side, {}).update(dict.fromkeys(numbers))
    return found


def _positions(objective: ir.Objective) -> Iterator[tuple[Axis, Node]]:
    """The places that are picked, each with the axis that they are on."""
    for node in ir.topological(objective.roots()):
        if isinstance(node, ir.Index):
            yield from zip(node.along, node.args[1:], strict=True)


def _least(objective: ir.Objective) -> dict[Axis, int]:
    """How many elements the text speaks of, by axis: eight in ``x[7]``."""
    found: dict[Axis, int] = {}
    for axis, position in _positions(objective):
        if isinstance(position, ir.Const):
            found[axis.root] = max(found.get(axis.root, 0), int(position.value) + 1)
    return found


def _indexed(objective: ir.Objective) -> dict[Node, dict[str, None]]:
    """The axes along which inputs of whole numbers say places."""
    found: dict[Node, dict[str, None]] = {}
    for axis, position in _positions(objective):
        base = _base(position)
        if isinstance(base, ir.Input) and base.bound is None:
            found.setdefault(base, {})[axis.root.name] = None
    return found


def _softmaxed(objective: ir.Objective) -> dict[Node, set[Axis]]:
    """For each input, the axes over which a term that uses it normalises something."""
    found: dict[Node, set[Axis]] = {}
    for term in objective.terms:
        nodes = ir.topological([term.value])
        sums = [node for node in normalisers(nodes) if len(node.over) == 1]
        for node in nodes if sums else ():
            if isinstance(node, ir.Input):
                found.setdefault(node, set()).update(n.over[0].root for n in sums)
    return found


def _users(objective: ir.Objective) -> dict[str, list[str]]:
    """The terms that use each input and each model."""
    found: dict[str, list[str]] = {}
    for term in objective.terms:
        nodes = ir.topological([term.value, term.weight])
        inputs = {node.name for node in nodes if isinstance(node, ir.Input)}
        models = {node.call.model.name for node in nodes if isinstance(node, ir.Model | ir.ModelVjp)}
        for name in inputs | models:
            found.setdefault(name, []).append(term.name)
    return found


def _unconditional(objective: ir.Objective, filters: Mapping[Node, frozenset[Node]]) -> set[Node]:
    """The inputs of which every element counts, whatever other inputs are."""
    return {node for node in objective.inputs if not _leaves([filters.get(node, frozenset())]) - {node}}


def _leaves(filters: Iterable[frozenset[Node]]) -> set[Node]:
    """The inputs that conditions read."""
    return {node for node in ir.topological(set[Node]().union(*filters)) if isinstance(node, ir.Input)}


def _base(node: Node) -> Node:
    """What an index renames."""
    return node.args[0] if isinstance(node, ir.Index) else node


def slot_specs(objective: ir.Objective, planned: ir.Objective) -> list[SlotSpec]:
    """The learned values: where the free parameter starts, its shape, and how it is read."""
    from losslang.runtime.module import SlotSpec

    bounds = {slot.key: (slot.lower, slot.upper) for slot in objective.slots()}

    def start(slot: ir.Slot) -> float | tuple[str, float, float]:
        return dataclasses.astuple(slot.init) if isinstance(slot.init, ir.Noise) else slot.init

    def shape(slot: ir.Slot) -> tuple[int, ...]:
        return tuple(axis.root.size or 0 for axis in slot.dims)

    return [SlotSpec(s.key, start(s), shape(s), partial(_read, *bounds[s.key])) for s in planned.slots()]


def _read(lower: float | None, upper: float | None, raw: torch.Tensor) -> torch.Tensor:
    """What a free parameter means, as `passes.lift_state` maps it into its bounds."""
    if lower is not None and upper is not None:
        return lower + (upper - lower) * raw.sigmoid()
    if lower is not None:
        return lower + raw.exp()
    return raw if upper is None else upper - raw.exp()


def needs(objective: ir.Objective) -> Needs:
    """What the function of an objective takes besides inputs and learned values."""
    from losslang.runtime.checks import Dim
    from losslang.runtime.state import DrawSpec, Needs, StateSpec

    def dims(axes: Axes) -> tuple[Dim, ...]:
        return tuple(Dim(axis.root.name, axis.root.size, axis.rest) for axis in axes)

    states = tuple(StateSpec(u.key, dims(u.dims), u.value.dtype) for u in objective.updates)
    draws = tuple(DrawSpec(draw.key, draw.name, dims(draw.dims)) for draw in objective.draws())
    return Needs(states, objective.clocks(), draws)


def fixed_ranks(objective: ir.Objective, dims: Mapping[str, int]) -> dict[Axis, int]:
    """How many dimensions ``...`` stands for, where the numbers of dimensions of some inputs say so.

    Raises:
        LosslangError: LL0502 for an unknown input, LL0503 where a number does not fit.
    """
    inputs = {node.name: node for node in objective.inputs}
    found: dict[Axis, int] = {}
    for name, number in dims.items():
        node = inputs.get(name)
        if node is None:
            raise error(
                "LL0502",
                f"there is no input '{name}'",
                expected=", ".join(inputs),
                hint=did_you_mean(name, inputs),
            )
        rest = [axis for axis in node.dims if axis.rest]
        spare = number - (len(node.dims) - len(rest))
        if spare < 0 or (spare and not rest) or (rest and found.setdefault(rest[0], spare) != spare):
            raise error(
                "LL0503",
                f"'{name}' cannot have {number} dimensions",
                expected=node.type_text,
                found=str(dict(dims)),
            )
    return found
