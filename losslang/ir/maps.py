"""Maps: operations along axes that are no elementwise operation and no monoid. A table, and the constructor.

A map takes the axes ``over`` of its operands to the axes ``into``. Operands align by axis like those of an elementwise
operation, as far as the map says nothing else. The transpose of a linear map is a map of its own, so that a loss and
its gradients are one DAG; a name that ends in ``_t`` takes derived axes back to their parents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Option, intern
from losslang.types import Axes, Axis, DType, ordered

Into = Callable[[Axes, "tuple[Node, ...]", Mapping[str, Option]], Axes]


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A map: the axes that it gives, the type of its result (None: that of the first operand), what it is told.

    ``by`` are the names that the language gives the last operands; ``defaults`` are the options, which are left out
    of a node where they have these values; ``paired`` says that the order of the axes has a meaning.
    """

    into: Into
    dtype: DType | None = "real"
    by: tuple[str, ...] = ()
    defaults: Mapping[str, Option] = field(default_factory=dict[str, Option])
    paired: bool = False
    apart: bool = False
    """Whether the operands after the first one have axes of their own (a window) and do not align."""


def _kept(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    return over


def _parents(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    return tuple(axis.parent for axis in over if axis.parent is not None)


def _derived(name: str) -> Into:
    return lambda over, args, options: tuple(axis.derive(name) for axis in over)


def _conv(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    window = args[1]
    width = f"_{len(window.values)}" if isinstance(window, ir.Table) else ""
    return tuple(axis.derive(f"conv{width}") for axis in over)


def _joined(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    """One axis in the place of the first, as long as all of them."""
    sizes = [axis.root.size for axis in over]
    known = [size for size in sizes if size is not None]
    name = "_".join(map(str, over))
    return (Axis(name, sum(known) if len(known) == len(sizes) else None, parent=over[0]),)


STFT_WINDOWS = ("hann", "hamming")
STFT_DEFAULTS: dict[str, Option] = {"window": "hann", "pad": "reflect"}


def _frames(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    """The frames in the place of the samples, and the frequencies as the last axis of all."""
    n, hop = options["n"], options["hop"]
    assert isinstance(n, int)
    return over[0].derive(f"stft_{n}_{hop}"), Axis(f"f_{n}", n // 2 + 1, made=SPECTRUM)


SPECTRUM = 9
"""Where the axis of a spectrum's frequencies stands among made axes: behind all others."""


def _none(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    return ()


def _first(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    return over[:1]


def _second(over: Axes, args: tuple[Node, ...], options: Mapping[str, Option]) -> Axes:
    return over[1:]


MAPS: dict[str, MapInfo] = {
    # along axes that stay: several axes count as one, in the order of the dimensions
    "sort": MapInfo(_kept, None, ("by",)),
    "unsort": MapInfo(_kept, None, ("by",)),
    "rank": MapInfo(_kept, "int"),
    "cumsum": MapInfo(_kept, None, defaults={"reverse": False}),
    # one behind the other
    "concat": MapInfo(_joined, None, paired=True, apart=True),
    # spectra: one real part of what is complex
    "fft": MapInfo(_kept),
    "stft": MapInfo(_frames, defaults=STFT_DEFAULTS, apart=True),
    "stft_t": MapInfo(_parents, defaults=STFT_DEFAULTS, apart=True),
    # pairs of axes: rows and columns of a matrix
    "cholesky": MapInfo(_kept, paired=True),
    "solve": MapInfo(_second, paired=True),
    "inv": MapInfo(_kept, paired=True),
    "logdet": MapInfo(_none, paired=True),
    "pinv": MapInfo(_kept, paired=True),
    "eigvals": MapInfo(_first, paired=True),
    "eigvecs": MapInfo(_kept, paired=True),
    "inv_sqrt": MapInfo(_kept, paired=True),
    "assignment": MapInfo(_first, "int", paired=True),
    # windows
    "conv": MapInfo(_conv, apart=True),
    "conv_t": MapInfo(_parents, apart=True),
    "halve": MapInfo(_derived("half"), defaults={"pad": "zero"}),
    "halve_t": MapInfo(_parents, defaults={"pad": "zero"}),
    "diff": MapInfo(_derived("diff")),
    "diff_t": MapInfo(_parents),
}


def map_along(name: str, args: Iterable[Node], over: Iterable[Axis], **options: Option) -> Node:
    """A map of operands along axes."""
    info, operands = MAPS[name], tuple(args)
    axes = tuple(over) if info.paired else ordered(set(over))
    into = info.into(axes, operands, {**info.defaults, **options})
    told = tuple((key, value) for key, value in options.items() if info.defaults.get(key) != value)
    outer = operands[0].axes if info.apart else ops.merge(operands)
    result = ordered({*into, *(axis for axis in outer if axis not in axes)})
    dtype = info.dtype or operands[0].dtype
    return intern(ir.Map, operands, result, dtype, name, axes, into, told)


def stands_apart(name: str) -> bool:
    """Whether the further operands of a map have axes of their own."""
    return MAPS[name].apart


def rebuilt(node: ir.Map, args: Iterable[Node]) -> Node:
    """A map over other operands."""
    return map_along(node.name, args, node.over, **dict(node.options))


def spread(x: Node, axes: Iterable[Axis]) -> Node:
    """A value with each of these axes as a dimension of its own, also where it is the same along one."""
    for axis in axes:
        if axis not in x.axes:
            x = ops.apply("where", ops.apply("le", ops.const(0), ops.iota(axis)), x, ops.zero(x.dtype))
    return x
