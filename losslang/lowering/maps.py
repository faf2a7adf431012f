"""How each map of ``ir/maps.py`` becomes torch."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import fx

from losslang.ir import maps, ops
from losslang.ir import nodes as ir
from losslang.lowering.emit import Emitter, Operand
from losslang.runtime import functional
from losslang.types import Axes

Rule = Callable[[Emitter, ir.Map], fx.Node]


def lower_map(emitter: Emitter, node: ir.Map) -> Operand:
    """A map; what it makes can be measured on it."""
    value = RULES[node.name](emitter, node)
    emitter.anchor(value, node.axes)
    return value


def _axes(node: ir.Map) -> Axes:
    """The axes of the operands as the function gets them."""
    return node.args[0].axes if maps.stands_apart(node.name) else ops.merge(node.args)


def _dims(emitter: Emitter, node: ir.Map) -> list[int]:
    """The dimensions of the axes that a map consumes, in the order in which it names them."""
    axes = _axes(node)
    return [dim for axis in node.over for dim in emitter.places((axis,), axes)]


def _aligned(emitter: Emitter, node: ir.Map) -> list[fx.Node]:
    """The operands, each expanded to the axes that any of them has."""
    axes = _axes(node)
    values = [emitter.align_value(emitter.tensor(arg), arg.axes, axes) for arg in node.args]
    if all(arg.axes == axes for arg in node.args):
        return values
    expanded = emitter.call(torch.broadcast_tensors, *values)
    return [emitter.call(operator.getitem, expanded, place) for place in range(len(values))]


# ------------------------------------------------------------------------------------------ along axes that stay
def _ordered(function: Callable[..., torch.Tensor]) -> Rule:
    return lambda emitter, node: emitter.call(function, *_aligned(emitter, node), _dims(emitter, node))


def _cumsum(emitter: Emitter, node: ir.Map) -> fx.Node:
    backwards = bool(dict(node.options).get("reverse", False))
    return emitter.call(functional.running_sum, emitter.tensor(node.args[0]), _dims(emitter, node), backwards)


# ------------------------------------------------------------------------------------------ one behind the other
def _concat(emitter: Emitter, node: ir.Map) -> fx.Node:
    (place,) = emitter.places(node.into, node.axes)
    pairs = zip(node.args, node.over, strict=True)
    moved = [emitter.method("movedim", emitter.tensor(x), *emitter.places((axis,), x.axes), -1) for x, axis in pairs]
    return emitter.method("movedim", emitter.call(torch.cat, moved, -1), -1, place)


# ------------------------------------------------------------------------------------------ spectra
def _part(emitter: Emitter, node: ir.Map, function: Callable[..., torch.Tensor], *told: Operand) -> fx.Node:
    """One part of a complex value that both parts share."""
    key = f"{node.name}{node.over}{told}", node.args[0]
    whole = emitter.features.get(key)
    if whole is None:
        whole = emitter.features[key] = emitter.call(function, emitter.tensor(node.args[0]), *told)
    return emitter.call(torch.real if dict(node.options)["part"] == "re" else torch.imag, whole)


def _fft(emitter: Emitter, node: ir.Map) -> fx.Node:
    return _part(emitter, node, functional.fourier, _dims(emitter, node))


def _told(node: ir.Map) -> list[Operand]:
    """The options of a short-time Fourier transform, in order."""
    options = {**maps.STFT_DEFAULTS, **dict(node.options)}
    return [options[name] for name in ("n", "hop", "win", "window", "pad")]


def _stft(emitter: Emitter, node: ir.Map) -> fx.Node:
    return _part(emitter, node, functional.spectrogram, *_dims(emitter, node), *_told(node))


def _stft_t(emitter: Emitter, node: ir.Map) -> fx.Node:
    g, length = emitter.tensor(node.args[0]), emitter.values[node.args[1]]
    (dim, _) = _dims(emitter, node)
    return emitter.call(functional.signal, g, length, dim, *_told(node), dict(node.options)["part"])


# ------------------------------------------------------------------------------------------ pairs of axes
def _paired(function: Callable[..., torch.Tensor]) -> Rule:
    """A function of matrices: told which dimensions are rows and columns, and where those of the result belong."""

    def lower(emitter: Emitter, node: ir.Map) -> fx.Node:
        places = [dim for axis in node.into for dim in emitter.places((axis,), node.axes)]
        return emitter.call(function, *_aligned(emitter, node), _dims(emitter, node), places)

    return lower


def _solve(emitter: Emitter, node: ir.Map) -> fx.Node:
    """A factor of Cholesky's is a triangle."""
    factor = node.args[0]
    lower = isinstance(factor, ir.Map) and factor.name == "cholesky" and factor.over == node.over
    return _paired(functional.solve_triangular if lower else functional.solve)(emitter, node)


# ------------------------------------------------------------------------------------------ windows
def _diff(emitter: Emitter, node: ir.Map) -> fx.Node:
    x = emitter.tensor(node.args[0])
    for dim in _dims(emitter, node):
        x = emitter.call(torch.diff, x, dim=dim)
    return x


def _conv(emitter: Emitter, node: ir.Map) -> fx.Node:
    x, window = map(emitter.tensor, node.args)
    return emitter.call(functional.convolve, x, window, _dims(emitter, node))


def _transposed(function: Callable[..., torch.Tensor]) -> Rule:
    """A map back to the axes that it came from, whose extents it has to be told."""

    def lower(emitter: Emitter, node: ir.Map) -> fx.Node:
        extents = [emitter.extent(axis) for axis in node.into]
        return emitter.call(function, *map(emitter.tensor, node.args), _dims(emitter, node), extents)

    return lower


def _halve(emitter: Emitter, node: ir.Map) -> fx.Node:
    pad = dict(node.options).get("pad", "zero")
    return emitter.call(functional.halve, emitter.tensor(node.args[0]), _dims(emitter, node), pad)


def _halve_t(emitter: Emitter, node: ir.Map) -> fx.Node:
    pad = dict(node.options).get("pad", "zero")
    extents = [emitter.extent(axis) for axis in node.into]
    return emitter.call(functional.halve_transposed, emitter.tensor(node.args[0]), _dims(emitter, node), extents, pad)


RULES: dict[str, Rule] = {
    "sort": _ordered(functional.sort_by),
    "unsort": _ordered(functional.unsort_by),
    "rank": _ordered(functional.rank),
    "cumsum": _cumsum,
    "concat": _concat,
    "fft": _fft,
    "stft": _stft,
    "stft_t": _stft_t,
    "cholesky": _paired(functional.cholesky),
    "solve": _solve,
    "inv": _paired(functional.inv),
    "logdet": _paired(functional.logdet),
    "pinv": _paired(functional.pinv),
    "eigvals": _paired(functional.eigvals),
    "eigvecs": _paired(functional.eigvecs),
    "inv_sqrt": _paired(functional.inv_sqrt),
    "assignment": _paired(functional.assignment),
    "conv": _conv,
    "conv_t": _transposed(functional.convolve_transposed),
    "halve": _halve,
    "halve_t": _halve_t,
    "diff": _diff,
    "diff_t": _transposed(functional.diff_transposed),
}
