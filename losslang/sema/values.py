"""What an expression means while it is elaborated: a tensor of the IR, a number, a list, a function, a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from losslang.ir import ops
from losslang.ir.netspec import NetSpec
from losslang.ir.nodes import ModelInput, Node, Noise
from losslang.syntax import ast
from losslang.types import REAL, Axes, Axis, Kind

if TYPE_CHECKING:
    from losslang.sema.modules import Environment
    from losslang.sema.scope import Extent


@dataclass(frozen=True, slots=True)
class Condition:
    """One conjunct of a domain; ``mask`` conditions say which elements exist and combine with any other."""

    node: Node
    mask: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the IR with what the language knows about it.

    ``order`` is the order of its axes as written (which decides what "the last axis" is) and may hold axes that the
    node lacks (it is the same along them); ``domain`` says where it is defined; ``bound`` is the axis it indexes.
    """

    node: Node
    order: Axes
    domain: tuple[Condition, ...] = ()
    kind: Kind = REAL
    bound: Axis | None = None
    rows: Rows | None = None
    """Whose rows it holds, where it is what a loss gave."""

    def plain(self) -> Tensor:
        """The same numbers without a refined kind."""
        return replace(self, kind=REAL, bound=None)


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of the rows of a loss: its name, the axes that are its own, and what their mean divides by."""

    loss: str
    axes: frozenset[Axis]
    normaliser: Tensor | None = None
    clash: str = ""
    """What was added though it divides by something else, in words."""


@dataclass(frozen=True, slots=True)
class Static:
    """A number, boolean, choice, string or none that is known at compile time."""

    value: float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """Values along a list axis; they may differ in shape, and are unrolled."""

    axis: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex value as its two real parts: what ``fft`` and ``stft`` give."""

    re: Value
    im: Value


@dataclass(frozen=True, slots=True)
class AxisSet:
    """``[b, ...]`` given to an axes parameter: names of the callee's axes."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A loss or fn as a value, perhaps with some arguments given already."""

    definition: ast.Definition
    environment: Environment
    given: tuple[tuple[str, Value], ...] = ()
    sizes: tuple[tuple[str, Extent], ...] = ()
    """Extents that are given already: ``moco(n=65536)``."""
    combination: Combination | None = None
    """For arithmetic on losses, where ``definition`` says only which parameters it has."""


@dataclass(frozen=True, slots=True)
class Combination:
    """``1 - ssim``: an operation of `ops.OPS` and what it works on, losses and values."""

    operation: str
    operands: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A builtin elementwise function as a value (``hinge=relu``)."""

    name: str
    apply: Callable[[list[Value]], Value] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A feature network."""

    spec: NetSpec


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the caller's: its result as a kind that is wanted of it, and whether its parameters are constants."""

    input: ModelInput
    kind: Kind
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Auto:
    """``auto`` or ``auto(init)``: learned, once a parameter says how it is bounded."""

    init: float | Noise | None = None


Value: TypeAlias = Tensor | Complex | Static | Listed | AxisSet | Function | Primitive | Network | Model | Auto

NONE = Static(None)


def describe(value: Value) -> str:
    """A value in the user's words, for messages."""
    match value:
        case Tensor():
            return f"{value.kind.name}{axes_text(value.order)}"
        case Complex():
            return "a complex value"
        case Static(value=None):
            return "none"
        case Static(value=bool()):
            return "true" if value.value else "false"
        case Static():
            return f'"{value.value}"' if isinstance(value.value, str) else f"the number {value.value:g}"
        case Listed():
            return f"a list over {value.axis}" if value.axis else "a list"
        case AxisSet():
            return f"axes [{', '.join(value.names)}]"
        case Function():
            return f"{value.definition.keyword} {value.definition.name}"
        case Primitive():
            return f"the function {value.name}"
        case Network():
            return f"the network {value.spec}"
        case Model():
            return f"the model {value.input.name}: {value.input.type_text}"
        case Auto():
            return "auto"


def axes_text(axes: Axes) -> str:
    """``[b, c, ...]``, or nothing for a scalar."""
    return f"[{', '.join(map(str, axes))}]" if axes else ""


def scalar(value: float | int | bool) -> Tensor:
    """A number as a tensor without axes."""
    return Tensor(ops.const(value), ())


def merge_orders(orders: list[Axes]) -> Axes:
    """The order-preserving merge: an axis comes before what it comes before in any operand, first seen first."""
    distinct = [order for order in dict.fromkeys(orders) if order]
    if len(distinct) < 2:
        return distinct[0] if distinct else ()
    merged: list[Axis] = []
    for order in distinct:
        for place, axis in enumerate(order):
            if axis not in merged:
                later = [merged.index(known) for known in order[place + 1 :] if known in merged]
                merged.insert(min(later, default=len(merged)), axis)
    return tuple(merged)
