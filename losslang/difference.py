"""Whether two objectives are one function, and where they differ, in the words of their texts.

They are the same where their canonical forms are; else where values and gradients agree on random batches, which is
said, because it is no proof. Names of terms are no part of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from losslang.config.write import text_of, weight_of
from losslang.ir import canonical
from losslang.ir import nodes as ir
from losslang.ir.grad import gradients
from losslang.ir.netspec import TAPS, NetSpec
from losslang.ir.nodes import Node, Objective
from losslang.ir.oracle import Oracle
from losslang.passes import pipeline
from losslang.passes.simplify import simplify
from losslang.sema import wellformed
from losslang.sema.elaborate import Program, elaborated, planned, program
from losslang.sema.resolve import bind
from losslang.sema.terms import Frame, Part, Plan
from losslang.sema.unit import Unit
from losslang.syntax import ast, printer
from losslang.types import Axis

Array: TypeAlias = NDArray[Any]

BATCHES = 5
"""Random batches on which two formulas are compared."""

TOLERANCE = 1e-9
"""Relative, for values; gradients may differ ten times as much."""


@dataclass(frozen=True)
class Change:
    """One thing that differs."""

    what: Literal["term", "name", "weight", "parameter", "loss", "definition", "input", "pass", "value"]
    of: str
    """The term, input, pass, or the name of a value (a constant, a scalar of the header, a binding)."""
    name: str | None
    """The parameter, option or definition."""
    before: str | None
    after: str | None

    def __str__(self) -> str:
        kind = self.what if self.what in ("input", "pass", "value") else "term"
        part = self.name if self.what in ("parameter", "pass") else self.what if self.what != kind else None
        if self.what == "definition":
            part = f"the definition of {self.name}"
        lead = f"{kind} {self.of}:" + (f" {part}" if part else "")
        if self.what == "definition":
            return f"{lead} differs"
        if self.what == "name":
            return f"term {self.of}: now called {self.after}"
        if self.before is None:
            return f"{lead} added, {self.after}" if self.after else f"{lead} added"
        if self.after is None:
            return f"{lead} removed, {self.before}" if self.before else f"{lead} removed"
        return f"{lead} {self.before} -> {self.after}"


@dataclass(frozen=True)
class Difference:
    """What a comparison found."""

    same: bool
    by: Literal["formula", "numbers"] | None
    """What says that they are the same."""
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        heads = {
            "formula": "the same formula" + (" under other names" if self.changes else ""),
            "numbers": f"the same on {BATCHES} random batches, values and gradients, in another form",
            None: "different" if self.changes else "different, in what the texts do not show",
        }
        return "\n".join([heads[self.by], *(f"  {change}" for change in self.changes)])

    def as_dict(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {"same": self.same, "by": self.by, "changes": [asdict(change) for change in self.changes]}


@dataclass(frozen=True)
class _Side:
    """One of the two: its text taken apart, its canonical form, and that with its total."""

    text: Program
    frame: Frame
    plan: Plan
    plain: Objective
    whole: Objective

    @property
    def total(self) -> Node:
        """What is differentiated."""
        assert self.whole.total is not None
        return self.whole.total

    @property
    def parts(self) -> dict[str, Part]:
        """Its terms by name."""
        return {part.name: part for part in self.plan.parts}

    @property
    def roots(self) -> dict[str, Node]:
        """The total, and the value and the weight of each term."""
        return {"total": self.total, **_of_terms(self.plain)}


def _of_terms(objective: Objective) -> dict[str, Node]:
    values = {f"value {term.name}": term.value for term in objective.terms}
    return {**values, **{f"weight {term.name}": term.weight for term in objective.terms}}


def canonical_form(unit: Unit, name: str | None = None) -> Objective:
    """The IR of an objective with its terms and inputs in the order of their names, simplified.

    Raises:
        LosslangError: every error found in the text.
    """
    return simplify(elaborated(replace(program(unit, name), canonical=True)))


def compare(first: Unit, second: Unit, names: tuple[str | None, str | None] = (None, None)) -> Difference:
    """What differs between two objectives; ``names`` choose them where a file holds several.

    Raises:
        LosslangError: every error found in one of the texts.
    """
    before, after = _side(first, names[0]), _side(second, names[1])
    if canonical.digest(before.plain) == canonical.digest(after.plain):
        return Difference(True, "formula", ())
    shapes = canonical.Shape(before.plain.inputs), canonical.Shape(after.plain.inputs)
    equal = {
        name
        for name in before.roots.keys() & after.roots.keys()
        if shapes[0].of(before.roots[name]) == shapes[1].of(after.roots[name])
    }
    inputs = list(_inputs(before, after, shapes))
    stored = [update.key for side in (before, after) for update in side.plain.updates]
    if "total" in equal and not inputs and not stored:
        return Difference(True, "formula", tuple(_renamed(before, after, shapes)))
    agree = set[str]() if inputs else _agreement(before, after)
    changes = tuple(_changes(before, after, shapes, equal | agree, inputs))
    same = "total" in agree
    return Difference(same, "numbers" if same else None, tuple(changes))


def _side(unit: Unit, name: str | None) -> _Side:
    text = program(unit, name)
    plain = canonical_form(unit, name)
    frame, plan = planned(text)
    return _Side(text, frame, plan, plain, pipeline.run(plain, after="balance"))


# ------------------------------------------------------------------------------------------ in words
Shapes: TypeAlias = tuple[canonical.Shape, canonical.Shape]


def _inputs(before: _Side, after: _Side, shapes: Shapes) -> Iterator[Change]:
    ours = {node.name: node for node in before.plain.inputs}
    theirs = {node.name: node for node in after.plain.inputs}
    for name in dict.fromkeys([*ours, *theirs]):
        old, new = ours.get(name), theirs.get(name)
        if old is None or new is None:
            yield Change("input", name, None, old and old.type_text, new and new.type_text)
        elif shapes[0].of(old) != shapes[1].of(new):
            yield Change("input", name, None, old.type_text, new.type_text)


def _renamed(before: _Side, after: _Side, shapes: Shapes) -> Iterator[Change]:
    """Terms that have other names in the second objective, known by what they compute."""
    theirs = {shapes[1].of(term.value): term.name for term in after.plain.terms if term.name not in before.parts}
    for term in before.plain.terms:
        found = theirs.pop(shapes[0].of(term.value), None) if term.name not in after.parts else None
        if found is not None:
            yield Change("name", term.name, None, term.name, found)


def _changes(
    before: _Side, after: _Side, shapes: Shapes, equal: set[str], inputs: Sequence[Change]
) -> Iterator[Change]:
    renamed = list(_renamed(before, after, shapes))
    known = {str(change.before): str(change.after) for change in renamed}
    for name, part in before.parts.items():
        if name in known:
            continue
        other = after.parts.get(name)
        if other is None:
            yield Change("term", name, None, _whole(part, before.frame), None)
        else:
            yield from _of_term(name, (part, other), (before, after), equal)
    for name, part in after.parts.items():
        if name not in before.parts and name not in known.values():
            yield Change("term", name, None, None, _whole(part, after.frame))
    yield from renamed
    yield from inputs
    yield from _values(before, after)
    yield from _passes(before, after)


def _whole(part: Part, frame: Frame) -> str:
    """A term as it is written."""
    body = text_of(part.body, frame)
    return f"{weight_of(part.weights, frame)}*{body}" if part.weights else body


def _of_term(name: str, parts: tuple[Part, Part], sides: tuple[_Side, _Side], equal: set[str]) -> Iterator[Change]:
    if f"weight {name}" not in equal or _has_auto(parts[0]) != _has_auto(parts[1]):
        weights = [_weight(part, name, side) for part, side in zip(parts, sides, strict=True)]
        if weights[0] != weights[1]:
            yield Change("weight", name, None, weights[0], weights[1])
    if f"value {name}" in equal:
        return
    calls = [_call(part, side.frame) for part, side in zip(parts, sides, strict=True)]
    if calls[0] is None or calls[1] is None or calls[0][0].name != calls[1][0].name:
        texts = [text_of(part.body, side.frame) for part, side in zip(parts, sides, strict=True)]
        if texts[0] != texts[1]:
            yield Change("loss", name, None, texts[0], texts[1])
            return
    else:
        found = list(_parameters(name, calls[0][1], calls[1][1]))
        yield from found
        if found:
            return
    yield from _definitions(name, parts, sides)


def _has_auto(part: Part) -> bool:
    return any(
        isinstance(node, ast.Name) and node.name == "auto" for weight in part.weights for node in ast.walk(weight)
    )


def _weight(part: Part, name: str, side: _Side) -> str:
    """The weight of a term: the number that it is, or what is written."""
    node = next((term.weight for term in side.plain.terms if term.name == name), None)
    if isinstance(node, ir.Const) and not _has_auto(part):
        return printer.number(float(node.value)).removesuffix(".0")
    return str(weight_of(part.weights, side.frame)) if part.weights else "1"


def _call(part: Part, frame: Frame) -> tuple[ast.Definition, dict[str, str]] | None:
    """The definition that a term calls, and what each of its parameters is."""
    callee = ast.callee_of(part.body)
    definition = frame.definition(callee) if isinstance(callee, ast.Name) else None
    if definition is None:
        return None
    arguments = part.body.arguments if isinstance(part.body, ast.Call) else ()
    bound = bind(definition, arguments, frame.sort, modifiers=True)
    values = {p.name: p.default if p.default is not None else ast.Name(p.name) for p in definition.parameters}
    given = {**values, **bound.values, **bound.modifiers, **bound.sizes}
    return definition, {name: text_of(value, frame) for name, value in given.items()}


def _parameters(term: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Change("parameter", term, name, before.get(name), after.get(name))


def _definitions(term: str, parts: tuple[Part, Part], sides: tuple[_Side, _Side]) -> Iterator[Change]:
    """The definitions of the user's own that a term needs, and that differ."""
    texts = [_reached(part.body, side) for part, side in zip(parts, sides, strict=True)]
    differing = [name for name in dict.fromkeys([*texts[0], *texts[1]]) if texts[0].get(name) != texts[1].get(name)]
    for name in differing:
        yield Change("definition", term, name, texts[0].get(name), texts[1].get(name))


def _values(before: _Side, after: _Side) -> Iterator[Change]:
    """What names of the objective stand for: constants, scalars of the header, bindings."""
    ours, theirs = _known(before), _known(after)
    for name in dict.fromkeys([*ours, *theirs]):
        if ours.get(name) != theirs.get(name):
            yield Change("value", name, None, ours.get(name), theirs.get(name))


def _known(side: _Side) -> dict[str, str]:
    scalars = {p.name: p.default for p in side.text.parameters if p.default is not None}
    values = {b.name: b.value for b in side.text.bindings if b.name not in side.parts}
    texts = {name: text_of(value, side.frame) for name, value in {**scalars, **values}.items()}
    return {**texts, **{constant.name: str(constant.value) for constant in side.text.constants}}


def _reached(body: ast.Expression, side: _Side) -> dict[str, str]:
    """The texts of all definitions that an expression needs, but those of the library."""
    written = [body, *(binding.value for binding in side.text.bindings)]
    mentioned = [node.name for tree in written for node in ast.walk(tree) if isinstance(node, ast.Name)]
    waiting = [(name, side.text.environment) for name in mentioned]
    found: dict[str, str] = {}
    while waiting:
        name, environment = waiting.pop()
        item = environment.find(name)
        if item is None or item.name in found or item.span.source.library:
            continue
        found[item.name] = printer.print_definition(replace(item, doc="", decorators=()))
        waiting += [(needed, environment.home(item)) for needed in wellformed.needs(item)]
    return found


def _passes(before: _Side, after: _Side) -> Iterator[Change]:
    ours, theirs = ({_short(p.pipe.name): p for p in side.plan.piped} for side in (before, after))
    for name in dict.fromkeys([*ours, *theirs]):
        old, new = ours.get(name), theirs.get(name)
        if old is None or new is None:
            kept = old or new
            assert kept is not None
            over = ", ".join(kept.terms)
            yield Change("pass", name, None, old and f"over {over}", new and f"over {over}")
            continue
        if set(old.terms) != set(new.terms):
            yield Change("pass", name, "over", ", ".join(old.terms), ", ".join(new.terms))
        options = [
            {str(a.name): text_of(a.value, side.frame) for a in piped.pipe.arguments}
            for piped, side in ((old, before), (new, after))
        ]
        for option in dict.fromkeys([*options[0], *options[1]]):
            if options[0].get(option) != options[1].get(option):
                yield Change("pass", name, option, options[0].get(option), options[1].get(option))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


# ------------------------------------------------------------------------------------------ in numbers
EXTENTS = {"h": 32, "w": 32, "t": 48, "b": 4, "i": 6, "c": 5}
"""Extents of the axes of a random batch; of any other axis it is `OTHER`."""

OTHER = 4


def _agreement(before: _Side, after: _Side) -> set[str]:
    """The names of the roots whose values, and for the total gradients, agree on random batches; none if in doubt."""
    agree = set(before.roots.keys() & after.roots.keys())
    for seed in range(BATCHES):
        batch = _batch(before.plain.inputs, seed)
        try:
            ours, theirs = _evaluated(before, batch, seed), _evaluated(after, batch, seed)
        except (ArithmeticError, IndexError, KeyError, ValueError, NotImplementedError):
            return set()  # a batch that it does not take, or a node that only torch carries out
        if not all(np.isfinite(value).all() for value in (*ours.values(), *theirs.values())):
            return set()
        agree = {name for name in agree if _close(name, ours, theirs)}
    return agree


def _close(name: str, ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> bool:
    tolerances = dict.fromkeys((name, f"{name} later"), TOLERANCE)
    if name == "total":
        gradients_ = {key for key in (*ours, *theirs) if key.startswith("gradient ")}
        tolerances |= dict.fromkeys(gradients_, 10 * TOLERANCE)
    for key, tolerance in tolerances.items():
        if (key in ours) != (key in theirs):
            return False
        if key in ours and (ours[key].shape != theirs[key].shape or _apart(ours[key], theirs[key]) > tolerance):
            return False
    return True


def _apart(ours: Array, theirs: Array) -> float:
    scale = max(1.0, float(np.abs(ours).max(initial=0)), float(np.abs(theirs).max(initial=0)))
    return float(np.abs(ours - theirs).max(initial=0)) / scale


def _evaluated(side: _Side, batch: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """The values of a side's roots, the gradients of its total, and the total of a second call."""
    whole = side.whole
    nodes = ir.topological(whole.roots())
    reals = [node for node in whole.inputs if node.dtype == "real"]
    networks = sorted({node.spec for node in nodes if isinstance(node, ir.Net | ir.Heads)}, key=str)
    roots = {"total": side.total, **_of_terms(whole)}
    if not networks and not side.total.axes:
        roots |= {f"gradient {n.name}": g for n, g in zip(reals, gradients(side.total, reals), strict=True)}

    def oracle(state: Mapping[str, Any], step: int) -> Oracle:
        return Oracle(
            batch,
            slots={slot.key: _perturbed(slot, seed) for slot in whole.slots() if not slot.dims},
            networks={spec: _stand_in(spec) for spec in networks},
            heads={spec: [np.full(channels, 0.5) for channels in TAPS[spec.name]] for spec in networks},
            state=state,
            clocks={"step": step, "epoch": step},
            seed=seed,
        )

    first = oracle({}, 7 * seed)
    values = dict(zip(roots, map(np.array, first.evaluate(roots.values())), strict=True))
    if whole.updates:
        later = oracle(first.advance(whole.updates), 7 * seed + 1)
        values["total later"] = np.array(later.evaluate([side.total])[0])
    return values


def _perturbed(slot: ir.Slot, seed: int) -> float:
    """A learned number somewhere near where it starts, the same for both objectives."""
    start = slot.init if isinstance(slot.init, int | float) else 0.0
    words = [ord(char) for char in slot.key]
    return start + 0.3 * float(np.random.default_rng([seed, *words]).standard_normal())


def _stand_in(spec: NetSpec) -> Callable[[Array], list[Array]]:
    """Some feature maps of the right channels: whether two formulas agree does not depend on which."""
    rng = np.random.default_rng(len(str(spec)))
    mixes = [rng.standard_normal((channels, 3)) for channels in TAPS[spec.name]]

    def features(image: Array) -> list[Array]:
        return [np.tanh(np.einsum("kc,bchw->bkhw", mix, image[:, :, :: 2**n, :: 2**n])) for n, mix in enumerate(mixes)]

    return features


def _batch(inputs: Sequence[ir.Input], seed: int) -> dict[str, Array]:
    """Random arrays for the inputs, each after its name: both objectives get the same ones."""
    return {node.name: _array(node, np.random.default_rng([seed, *map(ord, node.name)]), seed) for node in inputs}


def _extent(axis: Axis, seed: int) -> int:
    stem = axis.name.partition("_")[0]
    return axis.root.size if axis.root.size is not None else EXTENTS.get(stem, OTHER) + seed % 2


def _array(node: ir.Input, rng: np.random.Generator, seed: int) -> Array:
    shape = [_extent(axis, seed) for axis in node.dims]
    if node.dtype == "bool":
        return rng.random(shape) > 0.4
    if node.dtype == "int":
        return rng.integers(0, OTHER if node.bound is None else _extent(node.bound, seed), shape)
    x = rng.standard_normal(shape)
    classes = next((place for place, axis in enumerate(node.dims) if axis.name.startswith("c")), None)
    match node.kind.name:
        case "prob" | "logprob":
            e = np.exp(x)
            p = 1 / (1 + 1 / e) if classes is None else e / e.sum(classes, keepdims=True)
            return p if node.kind.name == "prob" else np.log(p)
        case "unit":
            return x / np.linalg.norm(x, axis=-1, keepdims=True)
        case "image":
            low, high = node.kind.range or (0.0, 1.0)
            return low + (high - low) / (1 + np.exp(-x))
        case _:
            return x
