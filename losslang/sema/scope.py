"""The names that are visible while a definition's body is evaluated."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

from losslang.diagnostics import LosslangError, Problems, did_you_mean, error, renamed
from losslang.ir import ops
from losslang.ir.nodes import ModelInput, Node, Update
from losslang.sema.modules import Environment
from losslang.sema.resolve import Sort
from losslang.sema.values import Listed, Tensor, Value
from losslang.source import Span
from losslang.syntax import ast
from losslang.types import Axes, Axis, DType

T = TypeVar("T")


@dataclass(frozen=True)
class Extent:
    """How long a call says that an axis is, and where it says so."""

    name: str
    size: int
    span: Span


@dataclass(frozen=True)
class Shape:
    """What a stored value is: its dimensions in order, and what its numbers are stored as."""

    dims: Axes
    dtype: DType


@dataclass
class Memory:
    """What one call of a definition keeps for the next training call, by the names of its bindings."""

    path: str = ""
    bindings: dict[str, ast.Binding] = field(default_factory=dict[str, "ast.Binding"])
    assumed: dict[str, Shape] = field(default_factory=dict[str, Shape])
    """The shapes of names that are read before they have a value, as far as they are known."""
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """The names that ``last`` reads, and under which key each is stored."""
    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    wanted: dict[str, Shape] = field(default_factory=dict[str, Shape])
    """The shapes that hold all first values too."""
    declared: set[str] = field(default_factory=set[str])
    """The names whose axes the text says."""
    places: dict[str, Span] = field(default_factory=dict[str, Span])
    """Where each was read first."""


@dataclass
class Session:
    """What one elaboration shares: how expressions are evaluated, which learned slots exist already."""

    evaluate: Callable[[ast.Expression, Scope], Value]
    sort: Callable[[ast.Expression], Sort]
    """What kind of argument an expression of the objective's own text is."""
    models: Mapping[str, ModelInput] = field(default_factory=dict[str, ModelInput])
    """The models that the caller passes."""
    keys: dict[str, None] = field(default_factory=dict[str, None])
    aliases: dict[int, Value] = field(default_factory=dict[int, Value])
    """What aliases are as values, by the identity of their tree."""
    networks: dict[str, Span | None] = field(default_factory=dict[str, "Span | None"])
    """Where the text names each network; None where a default does."""
    marking: bool = False
    """Whether values that get a name are marked: something is differentiated by one of them."""
    calls: int = 0
    """How many calls of definitions were written out so far."""
    named: dict[str, Axis] = field(default_factory=dict[str, Axis])
    """The axes of the inputs and of stacks by name: no two have one name, so that the IR can be printed."""
    extents: dict[Axis, int] = field(default_factory=dict[Axis, int])
    """What calls say about the extents of axes of the inputs: ``proxy_anchor(c=100)``."""
    found: dict[tuple[int, Any], tuple[ast.Definition, Any]] = field(default_factory=dict[Any, Any])
    """What `once` found; it holds the definitions too, so that no other takes the place of one."""
    terms: dict[Axis, tuple[str, ...]] = field(default_factory=dict[Axis, "tuple[str, ...]"])
    """The axes of balancers, and the names of the terms along each."""
    values: dict[Node, Node] = field(default_factory=dict[Node, Node])
    """What the terms are whose places balancers hold: a gradient of a place is that of the value."""
    updates: list[Update] = field(default_factory=list[Update])
    places: dict[str, Span] = field(default_factory=dict[str, Span])
    """Where the text asks for what has dimensions of its own: what is stored, learned or drawn, by key."""

    def mark(self) -> tuple[int, ...]:
        """Where the elaboration stands, for `reset`."""
        return tuple(len(part) for part in (self.keys, self.named, self.terms, self.updates, self.places))

    def reset(self, mark: tuple[int, ...]) -> None:
        """Forget what came after a mark."""
        for part, length in zip((self.keys, self.named, self.terms, self.places), (*mark[:3], mark[4]), strict=True):
            while len(part) > length:
                part.popitem()
        del self.updates[mark[3] :]

    def once(self, definition: ast.Definition, find: Callable[[ast.Definition], T]) -> T:
        """What is found in a definition's text, looked for at its first call only."""
        key = (id(definition), find)
        if key not in self.found:
            self.found[key] = (definition, find(definition))
        return self.found[key][1]

    def free(self, axis: Axis) -> bool:
        """Whether no other axis has this one's name."""
        return self.named.get(axis.name, axis) == axis

    def require(self, axis: Axis, given: Extent) -> None:
        """Note that an axis has a given extent.

        Raises:
            LosslangError: LL0302 where it has another.
        """
        root = axis.root
        known = root.size if root.size is not None else self.extents.get(root)
        if known is not None and known != given.size:
            raise error(
                "LL0302",
                f"axis '{given.name}' has {known} elements",
                given.span,
                expected=str(known),
                found=str(given.size),
                hint="leave the extent out: it follows from the tensors",
            )
        if known is None and (root.rest or root.index is None):
            raise error(
                "LL0302",
                f"the extent of '{given.name}' follows from another axis",
                given.span,
                expected="the extent of an axis of a tensor of the batch",
                found="any number of axes" if root.rest else "an axis that an operation made",
                hint="leave the extent out",
            )
        if known is None:
            self.extents[root] = given.size

    def key(self, wanted: str) -> str:
        """A slot's key: the wanted one, numbered where it is taken."""
        key, number = wanted, 2
        while key in self.keys:
            key, number = f"{wanted}_{number}", number + 1
        self.keys[key] = None
        return key


@dataclass(frozen=True)
class Mark:
    """What a scope knew at some time."""

    axes: dict[str, Axes]
    values: dict[str, Value]
    local: dict[Axis, str]
    foreign: set[Axis]
    broken: set[str]
    unrolled: dict[str, int]
    session: tuple[int, ...]


@dataclass
class Scope:
    """One call of a definition: its axes and index variables, its values, where its functions come from.

    ``local`` gives the axes that the body itself made (feature maps, what a convolution leaves) the names by which
    the body knows them: such a name may belong to several axes, and the value at hand decides.
    """

    environment: Environment
    session: Session
    path: str
    axes: MutableMapping[str, Axes] = field(default_factory=dict[str, Axes])
    values: MutableMapping[str, Value] = field(default_factory=dict[str, Value])
    local: dict[Axis, str] = field(default_factory=dict[Axis, str])
    foreign: set[Axis] = field(default_factory=set[Axis])
    """Axes that pass through: arguments have them, the definition does not declare them."""
    order: Axes = ()
    """The axes of the arguments, in the order in which they come."""
    lists: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    """List axes of named elements: in the IR's own text, the terms."""
    sizes: dict[str, Extent] = field(default_factory=dict[str, Extent])
    """The extents that the call gives to axes of the definition."""
    wanted: tuple[str, ...] = ()
    """The axes that the left side of a binding names, or the bracket around: one of them may be made by the value."""
    broken: set[str] = field(default_factory=set[str])
    """Bindings and index variables that an error left without meaning; it is reported already."""
    unrolled: dict[str, int] = field(default_factory=dict[str, int])
    """The list axes, and how many elements they have."""
    implicit: Callable[[str], Value | None] | None = None
    """At the level of an objective: the input of a name."""
    memory: Memory = field(default_factory=Memory)
    left: ast.Binding | None = None
    """The binding whose value is evaluated."""
    binder: str = ""
    """The word whose body is evaluated, where it is one that is run several times."""

    def mark(self) -> Mark:
        """What a scope knows before its body is evaluated, for `reset`."""
        names = dict(self.axes), dict(self.values), dict(self.local), set(self.foreign), set(self.broken)
        return Mark(*names, dict(self.unrolled), self.session.mark())

    def reset(self, mark: Mark) -> None:
        """Forget what a body made."""
        self.axes.clear()
        self.axes.update(mark.axes)
        self.values.clear()
        self.values.update(mark.values)
        self.local.clear()
        self.local.update(mark.local)
        self.foreign.clear()
        self.foreign.update(mark.foreign)
        self.broken.clear()
        self.broken.update(mark.broken)
        self.unrolled.clear()
        self.unrolled.update(mark.unrolled)
        self.session.reset(mark.session)

    def key(self, name: str) -> str:
        """Under which key the module holds what a name of this definition learns, stores or draws."""
        return f"{self.path}.{name}" if self.path else name

    def inner(self, path: str) -> Scope:
        """A scope for one term: it sees the names of this one, and what it adds stays its own (no name is copied)."""
        axes: MutableMapping[str, Axes] = ChainMap({}, self.axes)
        values: MutableMapping[str, Value] = ChainMap({}, self.values)
        return replace(self, path=path, axes=axes, values=values)

    def attempt(self, binding: ast.Binding, evaluate: Callable[[], Value], problems: Problems) -> None:
        """Bind a value to its name; where there is none, what uses its names has no error of its own."""
        value = problems.attempt(evaluate)
        if value is not None:
            self.bind(binding.name, value)
            return
        axes = () if binding.axes is None else binding.axes.axes
        places = [item for node in ast.walk(binding.value) if isinstance(node, ast.Index) for item in node.items]
        variables = {axis.name or "" for axis in axes} | {item.name for item in places if isinstance(item, ast.Name)}
        self.broken |= {binding.name, *(variables - self.axes.keys() - self.values.keys())}

    def bind(self, name: str, value: Value) -> None:
        """Give a value its name."""
        self.values[name] = _marked(value) if self.session.marking else value

    def naming(self, names: Sequence[str], expression: ast.Expression) -> Value:
        """The value of an expression, where new axes get names."""
        before, self.wanted = self.wanted, (*names, *self.wanted)
        try:
            return self.session.evaluate(expression, self)
        finally:
            self.wanted = before

    def sees(self, axis: Axis) -> bool:
        """Whether an axis can be named or indexed here."""
        return axis not in self.foreign

    def made(self, axis: Axis) -> bool:
        """Whether an axis is the body's own and has no other name: what a convolution leaves, under its full name."""
        return self.sees(axis) and all(axis not in axes for axes in self.axes.values())

    def visible(self, order: Axes) -> Axes:
        """The axes of a value that can be named or indexed here."""
        return tuple(axis for axis in order if self.sees(axis))

    def variable(self, name: str, axis: Axis) -> Axis:
        """A new index variable over the extent of an axis; the name ``i2`` asks for the second over ``i``.

        Variables are numbered per axis, so that two losses that index alike get equal nodes.
        """
        root = axis.root
        if name == root.name and all(root not in axes for axes in self.axes.values()) and root not in self.foreign:
            self.axes[name] = (root,)
            return root
        taken = {known for axes in self.axes.values() for known in axes} | self.foreign
        asked = root.ordinal_of(name)
        copies = map(root.copy, count(1))
        free = (copy for copy in copies if copy not in taken and self.session.free(copy))
        fresh = next(free) if asked is None else root.copy(asked)
        self.axes[name] = (fresh,)
        return fresh

    def variable_over(self, name: str, axis: Axis) -> Axes:
        """The index variable of a name where it indexes an axis; it is made where the name is new.

        Over a list of feature maps one name stands for a variable of each map's own axis.
        """
        if name not in self.axes:
            fresh = self.variable(name, axis)
        elif axis in self.local and len(self.axes[name]) == 1 and self.axes[name][0].root != axis.root:
            fresh = axis.root.copy(max(self.axes[name][0].ordinal, 1))
        else:
            return self.axes[name]
        if axis in self.local:
            self.local[fresh] = name
        return (fresh,)

    def stacked(self, name: str, size: int) -> Axis:
        """A new axis of known extent (for a stack or a range) under a name."""
        if name in self.sizes and self.sizes[name].size != size:
            self.session.require(Axis(name, size), self.sizes[name])
        axis = self.new_axis(name, size)
        self.axes[name] = (axis,)
        return axis

    def new_axis(self, name: str, size: int) -> Axis:
        """An axis of known extent, unlike any that passes through."""
        number = 1
        while True:
            axis = Axis(name if number == 1 else f"{name}_{number}", size)
            if axis not in self.foreign and self.session.free(axis):
                self.session.named[axis.name] = axis
                return axis
            number += 1

    def declare(self, name: str, axes: Axes) -> None:
        """Give a name of the definition the axes that it stands for in this call."""
        self.axes[name] = axes
        self.foreign -= set(axes)
        if name in self.sizes:
            for axis in axes:
                self.session.require(axis, self.sizes[name])

    def own(self, name: str, axes: Axes) -> None:
        """Let the body know axes of one value by a name that other values have axes of their own for."""
        self.local.update(dict.fromkeys(axes, name))
        self.foreign -= set(axes)

    def find(self, name: str, order: Axes, span: Span) -> Axes:
        """The axes that a name in brackets means for a value with this order.

        Raises:
            LosslangError: LL0204 for a name that no axis has.
        """
        if name in self.broken and name not in self.axes:
            raise LosslangError(())
        known = self.axes.get(name, ())
        local = tuple(axis for axis in order if self.local.get(axis) == name)
        own = tuple(axis for axis in order if name in (axis.name, f"...{axis.name}") and self.made(axis))
        if not set(known) & set(order) and (local or own):
            return local or own
        if name in self.axes:
            return known
        if name == "...":
            return self.visible(order)
        names = [self.name_of(axis) for axis in self.visible(order)]
        raise error(
            "LL0204",
            f"there is no axis '{name}' here",
            span,
            expected="one of " + ", ".join(names) if names else "a value with axes",
            found=name,
            hint=did_you_mean(name, [*names, *self.axes])
            or "axes have the names that the types of the arguments give them",
            fix=renamed(span, name, {*names, *self.axes}),
        )

    def introduce(self, name: str, order: Axes, span: Span) -> Axes:
        """`find`, on the left of a binding or in a result: from there on the name is an index variable as well.

        So ``rows[v, i if v == 0] = nt_xent(a, b)`` can speak of the axis that the called definition made.
        """
        found = self.find(name, order, span)
        if len(found) == 1 and name not in self.axes and list(self.local.values()).count(name) <= 1:
            self.axes[name] = found
        return found

    def name_of(self, axis: Axis) -> str:
        """What this scope calls an axis."""
        if axis in self.local:
            return self.local[axis]
        return next((name for name, axes in self.axes.items() if axis in axes), str(axis))


def _marked(value: Value) -> Value:
    """A value that stays recognisable in everything that is computed from it."""
    match value:
        case Tensor() if value.node.dtype == "real":
            return replace(value, node=ops.mark(value.node))
        case Listed():
            return replace(value, items=tuple(_marked(item) for item in value.items))
        case _:
            return value
