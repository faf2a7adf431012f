"""Derivatives of the maps of ``maps.py``: what a cotangent of a map gives each of its operands."""

from __future__ import annotations

from collections.abc import Callable

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.maps import map_along
from losslang.ir.nodes import Node

Parts = tuple[Node | None, ...]


def adjoint(node: ir.Map, g: Node) -> Parts:
    """The parts of a cotangent, which has every axis of the map, for its operands; None for what has no gradient."""
    return RULES[node.name](node, g) if node.name in RULES else (None,) * len(node.args)


def _permuted(back: str) -> Callable[[ir.Map, Node], Parts]:
    """Sorting moves values, and its inverse moves them back; a key has no gradient."""
    return lambda node, g: (map_along(back, (g, node.args[1]), node.over), None)


def _cumsum(node: ir.Map, g: Node) -> Parts:
    """Each value counts in all sums from its place on: a sum from the other end."""
    return (map_along("cumsum", (g,), node.over, reverse=not dict(node.options).get("reverse", False)),)


def _transposed(node: ir.Map, g: Node) -> Parts:
    """A linear map's transpose; what else it is given is no input of it."""
    back = map_along(node.name + "_t", (g, *node.args[1:]), node.into, **dict(node.options))
    return (back, *(None,) * (len(node.args) - 1))


def _back(node: ir.Map, g: Node) -> Parts:
    """The transpose of a transpose."""
    return (rebuilt_forward(node, g), *(None,) * (len(node.args) - 1))


def rebuilt_forward(node: ir.Map, g: Node) -> Node:
    """The map of which a node is the transpose, of a cotangent."""
    return map_along(node.name.removesuffix("_t"), (g, *node.args[1:]), node.into, **dict(node.options))


def _fft(node: ir.Map, g: Node) -> Parts:
    """Sines and cosines of the product of two places are symmetric: each part is its own transpose."""
    return (map_along("fft", (g,), node.over, **dict(node.options)),)


def _stft(node: ir.Map, g: Node) -> Parts:
    """Back to samples: how many there were is no longer in the frames."""
    (axis,) = node.over
    length = ops.size(axis, node.args[0])
    return (map_along("stft_t", (g, length), node.into, **dict(node.options)),)


def _stft_back(node: ir.Map, g: Node) -> Parts:
    return map_along("stft", (g,), node.into, **dict(node.options)), None


RULES: dict[str, Callable[[ir.Map, Node], Parts]] = {
    "sort": _permuted("unsort"),
    "unsort": _permuted("sort"),
    "cumsum": _cumsum,
    "fft": _fft,
    "stft": _stft,
    "stft_t": _stft_back,
    "conv": _transposed,
    "conv_t": _back,
    "diff": _transposed,
    "diff_t": _back,
}
