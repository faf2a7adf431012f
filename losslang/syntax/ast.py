"""What was written: one frozen class for each construct, each with its place.

Equality ignores places, so two texts that differ only in layout have equal trees.

A sum is one node, however many terms it has: an objective of ten thousand terms is wide, not deep. Everything
else nests at most `MAX_DEPTH` levels (the parser sees to it), so recursion over a tree is safe.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast

from losslang.source import NOWHERE, Span


@dataclass(frozen=True, slots=True)
class Node:
    """Base of everything; ``span`` is outside equality."""

    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)


# ------------------------------------------------------------------------------------------ expressions
@dataclass(frozen=True, slots=True)
class Number(Node):
    """``2``, ``0.5``, ``1e-6``."""

    value: int | float


@dataclass(frozen=True, slots=True)
class String(Node):
    """``"weights.pth"``: only where a parameter wants a string."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A loss, function, parameter, binding, index variable, input, or a constant: ``pi``, ``none``.

    ``m.name`` is the definition ``name`` of what ``use ... as m`` names.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-x`` or ``not x``; ``op`` is ``-`` or ``not``."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Sum(Node):
    """``a + b - c``: two or more terms, each with its sign ``+`` or ``-``; the sign of the first is ``+``.

    A bracketed sum stays a node of its own: ``(a + b) - c`` has two terms. ``-a + b`` begins with a `Unary`.
    """

    terms: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """``x op y`` with op one of ``* / ^ and or``; ``+`` and ``-`` make a `Sum`."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``a < b <= c``: ``operands`` is one longer than ``ops`` (``== != < <= > >=``)."""

    operands: tuple[Expression, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``then if condition else otherwise``."""

    then: Expression
    condition: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``low..high``."""

    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``item in container``, as in ``argmax[z in ball(...)]``."""

    item: Expression
    container: Expression


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One argument of a call, positional where ``name`` is None."""

    value: Expression
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``callee(arguments)``; the callee is an expression: ``f(x)``, ``sum[j if m](x)``, ``net(w)(x)``."""

    callee: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Rest(Node):
    """``...`` in brackets; ``...more`` where there are several and the compiler tells them apart."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class NamedIndex(Node):
    """``name=value`` inside an index: ``x[c=i]``."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``base[items if filter]``: pointwise indexing, or the bracket of a reduction or map."""

    base: Expression
    items: tuple[Expression | Rest | NamedIndex, ...]
    filter: Expression | None = None


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """``[a, b]``, a stack or a list literal; also an axis set ``[b, ...]``."""

    items: tuple[Expression | Rest, ...]


@dataclass(frozen=True, slots=True)
class Labelled(Node):
    """``expression as name``: a named term."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """``terms | name(arguments)``: a balancer or pass applied to the terms before it."""

    value: Expression
    name: str
    arguments: tuple[Argument, ...] = ()

    @property
    def step(self) -> Span:
        """Where its name and arguments stand."""
        start = self.span.source.text.find(self.name, self.value.span.end, self.span.end)
        return self.span if start < 0 else replace(self.span, start=start)


Expression: TypeAlias = (
    Number
    | String
    | Name
    | Unary
    | Sum
    | Binary
    | Compare
    | Conditional
    | Range
    | Member
    | Call
    | Index
    | ListOf
    | Labelled
    | Pipe
)


# ------------------------------------------------------------------------------------------ types
@dataclass(frozen=True, slots=True)
class Axis(Node):
    """``c``, ``c=3``, ``3`` (no name), ``...`` (``name`` begins with the dots) or ``k < n`` (``bound``)."""

    name: str | None
    size: int | None = None
    bound: Expression | None = None

    @property
    def is_rest(self) -> bool:
        """Whether it stands for any number of axes."""
        return self.name is not None and self.name.startswith("...")


@dataclass(frozen=True, slots=True)
class Axes(Node):
    """``[i, j if filter]`` of a result or of the left side of a binding."""

    axes: tuple[Axis, ...]
    filter: Expression | None = None


@dataclass(frozen=True, slots=True)
class Bound(Node):
    """``> 0``, ``< c`` (``op`` is the comparison), or ``in 0..1`` / ``in xyxy`` (``op`` is ``in``)."""

    op: str
    value: Expression


@dataclass(frozen=True, slots=True)
class TensorType(Node):
    """``label[b, ...] < c``: a kind, groups of axes (two groups: a list axis first), bounds, ``?``."""

    kind: str
    groups: tuple[tuple[Axis, ...], ...] = ()
    optional: bool = False
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionType(Node):
    """``image[b, c, h, w] -> real[l][b, c, h, w]``."""

    parameter: TensorType
    result: TensorType


@dataclass(frozen=True, slots=True)
class ChoiceType(Node):
    """``l1 | l2``: names that live in this parameter only."""

    options: tuple[str, ...]


Type: TypeAlias = TensorType | FunctionType | ChoiceType


# ------------------------------------------------------------------------------------------ definitions
@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """``gamma: real >= 0 = 2``; in ``pred, target: image[b]`` each name gets the type that follows."""

    name: str
    type: Type | None = None
    default: Expression | None = None


@dataclass(frozen=True, slots=True)
class Binding(Node):
    """``name[axes if filter] = value``; ``axes`` is None where none are written."""

    name: str
    axes: Axes | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Decorator(Node):
    """``@paper("...", arxiv="...")``."""

    name: str
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition(Node):
    """``loss``, ``fn``, ``balancer`` or ``objective`` (``keyword``): parameters, bindings, a result."""

    keyword: str
    name: str
    axes: tuple[Axis, ...]
    """Axis parameters: ``fn var[i](...)``."""
    parameters: tuple[Parameter, ...]
    result: Axes | None
    normaliser: Expression | None
    bindings: tuple[Binding, ...]
    value: Expression
    decorators: tuple[Decorator, ...] = ()
    doc: str = ""
    """The ``##`` lines above it, without the marks."""


@dataclass(frozen=True, slots=True)
class Alias(Node):
    """``ssim_loss = 1 - ssim`` at top level: a definition by arithmetic on loss values."""

    name: str
    value: Expression
    decorators: tuple[Decorator, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Use(Node):
    """``use image``, ``use a.b as c`` or ``use ./mine.loss`` (whose path is one part, as written)."""

    path: tuple[str, ...]
    alias: str | None = None

    @property
    def target(self) -> str:
        """What is used, as written."""
        return ".".join(self.path)

    @property
    def is_file(self) -> bool:
        """Whether a file is named by its place."""
        return "/" in self.path[0]


@dataclass(frozen=True, slots=True)
class Module(Node):
    """A file: its uses, definitions and aliases, in order."""

    items: tuple[Use | Definition | Alias, ...]
    doc: str = ""
    """The ``##`` lines at the head of the file that belong to no definition."""


# ------------------------------------------------------------------------------------------ traversal
MAX_DEPTH = 100
"""Levels of nodes that a parsed text may nest."""


def children(node: Node) -> list[Node]:
    """The nodes directly below, in the order of the text."""
    found: list[Node] = []
    for name in _child_fields(type(node)):
        _add_nodes(getattr(node, name), found)
    return found


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first, in the order of the text; iterative."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))


def callee_of(node: Expression) -> Expression:
    """What a call calls; of what is no call, that itself."""
    return node.callee if isinstance(node, Call) else node


def called_name(node: Expression) -> str:
    """The name of what is called or indexed: ``f`` of ``f``, ``f(x)`` and ``f[i](x)``; empty where it has none."""
    callee = callee_of(node)
    callee = callee.base if isinstance(callee, Index) else callee
    return callee.name if isinstance(callee, Name) else ""


def bound_names(call: Call) -> frozenset[str]:
    """The variables that a call binds in its body: ``z`` in ``argmax[z in ball(...)](f)``."""
    items = call.callee.items if isinstance(call.callee, Index) else ()
    found = {item.name for item in items if isinstance(item, NamedIndex)}
    found |= {item.item.name for item in items if isinstance(item, Member) and isinstance(item.item, Name)}
    return frozenset(found)


def bound_values(call: Call) -> list[Expression]:
    """What a binder's bracket says of its variables: starts, what a set is made of, numbers of steps."""
    values: list[Expression] = []
    for item in call.callee.items if isinstance(call.callee, Index) else ():
        match item:
            case NamedIndex():
                values.append(item.value)
            case Member(container=Call(arguments=(_, *others))):  # the first is a word of the set: an axis, a norm
                values += [argument.value for argument in others]
            case Member():
                values.append(item.container)
            case Rest():
                pass
            case _:
                values.append(item)
    return values


N = TypeVar("N", bound=Node)


def rewritten(node: N, change: Callable[[Node], Node | None], span: Span | None = None) -> N:
    """The tree with parts replaced: ``change`` answers what stands in a node's place, or None to look inside it.

    What is looked into takes the ``span``, where there is one; what does not change is the same object.
    """
    found = change(node)
    if found is not None:
        return cast("N", found)
    parts = {name: getattr(node, name) for name in _child_fields(type(node))}
    new = {name: _rewritten_value(part, change, span) for name, part in parts.items()}
    if span is not None:
        return replace(node, span=span, **new)
    return node if all(new[name] is part for name, part in parts.items()) else replace(node, **new)


def _rewritten_value(value: Any, change: Callable[[Node], Node | None], span: Span | None) -> Any:
    if isinstance(value, Node):
        return rewritten(value, change, span)
    if not isinstance(value, tuple):
        return value
    held = cast("tuple[Any, ...]", value)
    new = tuple(_rewritten_value(item, change, span) for item in held)
    return held if all(map(operator.is_, new, held)) else new


def depth(node: Node) -> int:
    """How many levels of nodes there are; iterative."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((child, level + 1) for child in children(current))
    return deepest


@cache
def _child_fields(kind: type[Node]) -> tuple[str, ...]:
    """Names of the fields that can hold nodes: text, numbers and places are left out."""
    plain = "span name op ops kind keyword doc path alias options optional size"
    return tuple(f.name for f in fields(kind) if f.name not in plain.split())


def _add_nodes(value: Any, found: list[Node]) -> None:
    if isinstance(value, Node):
        found.append(value)
    elif isinstance(value, tuple):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            _add_nodes(item, found)
