"""The IR: one DAG of frozen, hash-consed nodes over named axes.

Two equal expressions are one object, so sharing needs no search and ``is`` is equality. Every value has its
dimensions in the order of its ``axes``, which are sorted by one key: aligning operands never permutes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

from losslang.ir.netspec import NetSpec
from losslang.source import Span
from losslang.types import Axes, Axis, DType, Kind

Option: TypeAlias = str | float | int | bool
"""What a map is told besides its operands."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False)
class Node:
    """Base: operands, axes and dtype of a value."""

    args: tuple[Node, ...]
    axes: Axes
    dtype: DType


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Input(Node):
    """A tensor the caller passes; ``dims`` are its dimensions in the caller's order."""

    name: str
    kind: Kind
    dims: Axes
    bound: Axis | None = None
    """For labels: the axis that they index (``labels < c``)."""

    @property
    def type_text(self) -> str:
        """``label[b, ...] < c``."""
        return tensor_text(self.kind, self.dims) + (f" < {self.bound.name}" if self.bound is not None else "")


def tensor_text(kind: Kind, dims: Axes) -> str:
    """``image[b, c=3, ...] in 0..1``."""
    axes = [f"{axis.name}={axis.root.size}" if axis.root.size is not None else str(axis) for axis in dims]
    return kind.name + (f"[{', '.join(axes)}]" if axes else "") + kind.suffix


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Const(Node):
    """A number known at compile time."""

    value: float | int | bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table(Node):
    """A vector known at compile time (a window, scale weights)."""

    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """Independent numbers to start from: ``normal`` with mean and deviation, ``uniform`` between two numbers."""

    name: str
    first: float
    second: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Slot(Node):
    """A learned value: ``auto``. ``init`` is where it starts; bounds are removed by ``lift_state``."""

    key: str
    init: float | Noise
    lower: float | None
    upper: float | None
    dims: Axes
    """Its dimensions in the order of the text, as the module's parameter has them."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Last(Node):
    """What an `Update` stored in the training call before; in the first call ever, the operand. It has no gradient."""

    key: str
    dims: Axes
    """Its dimensions in the order of the text, as the module's buffer has them."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clock(Node):
    """An integer that the runtime counts: ``step`` (training calls) or ``epoch``."""

    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Draw(Node):
    """Random numbers, anew in every call: ``normal``, ``uniform`` or ``permutation`` (along the last of ``dims``)."""

    name: str
    key: str
    dims: Axes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Iota(Node):
    """The index variable of an axis as integers 0, 1, 2, ..."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Size(Node):
    """The extent of an axis."""

    axis: Axis


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Op(Node):
    """An elementwise operation of `ops.OPS`; operands align by axis."""

    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reduce(Node):
    """A monoid over axes. ``args`` is the value, and where there is a second one, the filter."""

    monoid: str
    over: Axes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Index(Node):
    """Pointwise indexing: ``value[axis=position, ...]``; ``args`` is the value, then a position for each axis."""

    along: Axes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Stack(Node):
    """Values side by side along a new axis."""

    axis: Axis


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Map(Node):
    """An operation of `maps.MAPS` that takes the axes ``over`` of its operands to the axes ``into``."""

    name: str
    over: Axes
    into: Axes
    options: tuple[tuple[str, Option], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Net(Node):
    """One feature map of a frozen network; all taps of one network on one value share one run."""

    spec: NetSpec
    tap: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Heads(Node):
    """The per-channel weights that LPIPS learned for a tap of a network."""

    spec: NetSpec
    tap: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NetVjp(Node):
    """The cotangent of a network's input: ``args`` is the input, then one cotangent for each tap in ``taps``."""

    spec: NetSpec
    taps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A model that the caller passes: what it takes and gives.

    ``takes`` are axes of the type alone, which each call binds anew; ``gives`` are those of them that the result
    keeps, and axes of the objective.
    """

    name: str
    argument: Kind
    takes: Axes
    result: Kind
    gives: Axes

    @property
    def type_text(self) -> str:
        """``real[b, ...] -> logit[b, c]``."""
        return f"{tensor_text(self.argument, self.takes)} -> {tensor_text(self.result, self.gives)}"


@dataclass(frozen=True, slots=True)
class ModelCall:
    """How a model is called: on which axes, in the order of its dimensions.

    ``frozen`` models pass a gradient to what they are given, and none to their parameters.
    """

    model: ModelInput
    takes: Axes
    gives: Axes
    frozen: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Model(Node):
    """What a model gives for a value, its one operand."""

    call: ModelCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelVjp(Node):
    """A cotangent of a model's operand, or of one of the operands of that, as often as ``steps`` says.

    ``steps`` (i, j) is the derivative by operand j of (the derivative by operand i of the model, contracted with the
    first cotangent), contracted with the second; ``args`` are the operands of the model and one cotangent each.
    """

    call: ModelCall
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Variable(Node):
    """What a binder binds, in its body: in that of a `Minimum` the variable (place 0) and each of its operands.

    While a body is evaluated its variable is an object of its own (place -1), and none is left afterwards.
    """

    place: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Minimum(Node):
    """Where a convex function of a vector is least on a set: a constant, whatever the operands.

    ``function``, its ``gradient`` and its ``hessian`` hold `Variable` leaves in place of the vector and of ``args``.
    """

    over: str
    """``simplex`` or ``positive``."""
    function: Node
    gradient: Node
    hessian: Node


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TermValue(Node):
    """Inside a balancer: the value of a term, filled in by the pass ``balance``."""

    term: str


# -------------------------------------------------------------------------------------------- hash-consing
N = TypeVar("N", bound=Node)
_table: WeakValueDictionary[tuple[Hashable, ...], Node] = WeakValueDictionary()


def intern(cls: type[N], args: tuple[Node, ...], axes: Axes, dtype: DType, *attributes: Hashable) -> N:
    """The one node with these fields. Constants of different type (1, 1.0, True) stay apart."""
    key = (cls, tuple(map(id, args)), axes, dtype, attributes, tuple(map(type, attributes)))
    found = _table.get(key)
    if found is None:
        found = cls(args, axes, dtype, *attributes)
        _table[key] = found
    return cast("N", found)  # the key holds the class


def attributes(node: Node) -> tuple[Any, ...]:
    """The fields of a node besides operands, axes and dtype."""
    return tuple(getattr(node, name) for name in _own_fields(type(node)))


@cache
def _own_fields(kind: type[Node]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)[3:])


# -------------------------------------------------------------------------------------------- traversal
def _all_operands(node: Node) -> tuple[Node, ...]:
    return node.args


def topological(roots: Iterable[Node], operands: Callable[[Node], tuple[Node, ...]] = _all_operands) -> list[Node]:
    """Every node once, operands first; iterative, so depth is no limit. ``operands`` says where to go from a node."""
    done: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, expanded = stack.pop()
        if node in done:
            continue
        if expanded:
            done[node] = None
            continue
        stack.append((node, True))
        stack.extend((arg, False) for arg in reversed(operands(node)) if arg not in done)
    return list(done)


def depending(roots: Iterable[Node], leaves: Set[Node]) -> list[Node]:
    """The nodes that one of ``leaves`` has a part in, operands first, without the leaves themselves."""
    depends = {*leaves}
    found: list[Node] = []
    for node in topological(roots):
        if node not in leaves and any(arg in depends for arg in node.args):
            depends.add(node)
            found.append(node)
    return found


def makers(roots: Iterable[Node]) -> dict[Axis, Node]:
    """For each axis of joined values, a node that joins them: the extent of its index variable is known there."""
    order = topological(roots)
    said = {axis.root for node in order if isinstance(node, Input) for axis in node.dims}
    found: dict[Axis, Node] = {}
    for node in order:
        if isinstance(node, Map) and node.name == "concat":
            known = {axis.root for arg in node.args for axis in arg.axes}
            found.update({axis.root: node for axis in node.into if axis.root not in {*known, *found}})
        elif isinstance(node, Model):
            given = {axis.root for axis in node.call.gives} - said - found.keys()
            found.update({axis: node for axis in given if not _counts(node, axis)})
    return found


def _counts(root: Node, axis: Axis) -> bool:
    """Whether something under a node asks how long an axis is."""
    return any(_asked(node) == axis for node in topological([root]))


def _asked(node: Node) -> Axis | None:
    """The axis whose extent a leaf asks for."""
    match node:
        case Iota(axes=(axis,)) | Size(args=(), axis=axis) if axis.root.size is None:
            return axis.root
        case _:
            return None


def measured(node: Node, made: Mapping[Axis, Node]) -> tuple[Node, ...]:
    """The operands of a node; what asks for the extent of an axis that a node makes comes after that node."""
    asked = _asked(node)
    maker = made.get(asked) if asked is not None else None
    return node.args if maker is None else (maker,)


# -------------------------------------------------------------------------------------------- objectives
@dataclass(frozen=True, slots=True)
class Term:
    """A named term: nominal weight, value (a scalar, or rows where nothing reduces them)."""

    name: str
    weight: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Balancer:
    """A pass over some of the terms: its total, over `TermValue` nodes."""

    name: str
    terms: tuple[str, ...]
    total: Node


Nest: TypeAlias = "str | tuple[Nest, ...]"
"""The name of an input, or a list of them."""


@dataclass(frozen=True, slots=True)
class InputList:
    """A list that the caller passes: its elements are inputs with names and axes of their own."""

    name: str
    items: tuple[Nest, ...]


def counts(nest: Nest) -> tuple[int, ...]:
    """How many elements there are at each level of a list."""
    return () if isinstance(nest, str) else (len(nest), *counts(nest[0]))


def leaves(items: tuple[Nest, ...], place: tuple[int, ...] = ()) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The inputs in a list of lists, each with its place."""
    for number, item in enumerate(items):
        if isinstance(item, str):
            yield item, (*place, number)
        else:
            yield from leaves(item, (*place, number))


@dataclass(frozen=True, slots=True)
class Update:
    """What a training call stores under a key, for the `Last` of the next one; ``dims`` as there."""

    key: str
    value: Node
    dims: Axes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the text says what an objective is made of, for messages; nothing that is computed depends on it."""

    terms: Mapping[str, Span] = field(default_factory=dict[str, Span])
    inputs: Mapping[str, Span] = field(default_factory=dict[str, Span])
    slots: Mapping[str, Span] = field(default_factory=dict[str, Span])
    networks: Mapping[str, Span] = field(default_factory=dict[str, Span])
    """By the text of their specs."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A whole objective. ``total`` and ``weights`` (one for each term) are set by the pass ``balance``."""

    name: str
    inputs: tuple[Input, ...]
    terms: tuple[Term, ...]
    balancers: tuple[Balancer, ...] = ()
    total: Node | None = None
    weights: tuple[Node, ...] = ()
    learned: tuple[str, ...] = ()
    """Keys of the slots in the order of the text."""
    updates: tuple[Update, ...] = ()
    models: tuple[ModelInput, ...] = ()
    lists: tuple[InputList, ...] = ()
    """Which of the inputs the caller passes as elements of lists."""
    origin: Origin = field(default=Origin(), compare=False, repr=False)

    def roots(self) -> tuple[Node, ...]:
        """Everything that is computed."""
        own = tuple(node for term in self.terms for node in (term.weight, term.value))
        balanced = tuple(balancer.total for balancer in self.balancers)
        stored = tuple(update.value for update in self.updates)
        return (*own, *balanced, *((self.total,) if self.total is not None else ()), *self.weights, *stored)

    def slots(self) -> tuple[Slot, ...]:
        """The learned values, in the order of the text."""
        places = {key: place for place, key in enumerate(self.learned)}
        found = [node for node in topological(self.roots()) if isinstance(node, Slot)]
        return tuple(sorted(found, key=lambda slot: places.get(slot.key, len(places))))

    def clocks(self) -> tuple[str, ...]:
        """The integers that the runtime fills."""
        found = {node.name for node in topological(self.roots()) if isinstance(node, Clock)}
        return tuple(sorted(found))

    def draws(self) -> tuple[Draw, ...]:
        """The random tensors, by key: one order, whatever the order of terms."""
        found = [node for node in topological(self.roots()) if isinstance(node, Draw)]
        return tuple(sorted(found, key=lambda draw: draw.key))

    def map(self, function: Callable[[Node], Node]) -> Objective:
        """The objective with every root replaced."""
        return replace(
            self,
            terms=tuple(Term(t.name, function(t.weight), function(t.value)) for t in self.terms),
            balancers=tuple(Balancer(b.name, b.terms, function(b.total)) for b in self.balancers),
            total=None if self.total is None else function(self.total),
            weights=tuple(function(weight) for weight in self.weights),
            updates=tuple(Update(u.key, function(u.value), u.dims) for u in self.updates),
        )

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)
