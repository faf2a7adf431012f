"""What each map means, in numpy: the oracle's half of ``maps.py``, with no cleverness.

A twin gets the map and its operands as arrays with every dimension at its full extent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.maps import MAPS
from losslang.types import Axes, Axis

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Run:
    """A map about to be evaluated: its operands, aligned to common axes where the map aligns them.

    ``dims`` are the dimensions of ``node.over`` in each operand's own order of dimensions, ``shape`` the result's
    extents by axis where they are known.
    """

    node: ir.Map
    args: Sequence[Array]
    dims: tuple[int, ...]
    extents: Callable[[Axes], tuple[int, ...]]
    places: Callable[[Axes, Axes], tuple[int, ...]]

    @property
    def axes(self) -> Axes:
        """The axes of the aligned operands."""
        return ops.merge(self.node.args)

    def matrix(self, place: int = 0) -> Array:
        """An operand with the rows and columns of the map as its last dimensions."""
        return np.moveaxis(self.args[place], self.dims, (-2, -1))

    def back(self, result: Array, last: Axes) -> Array:
        """A result whose last dimensions are these axes, with its dimensions in order."""
        have = (*(axis for axis in self.axes if axis not in self.node.over), *last)
        return np.moveaxis(result, range(-len(last), 0), self.places(last, self.node.axes)) if have and last else result

    def option(self, name: str, default: Any = None) -> Any:
        """An option of the map."""
        return {**MAPS[self.node.name].defaults, **dict(self.node.options)}.get(name, default)


# ------------------------------------------------------------------------------------------ along axes that stay
def joined(x: Array, dims: Sequence[int]) -> Array:
    """Some dimensions as one, at the end."""
    moved = np.moveaxis(x, dims, range(x.ndim - len(dims), x.ndim))
    return moved.reshape(*moved.shape[: x.ndim - len(dims)], -1)


def separated(flat: Array, shape: Sequence[int], dims: Sequence[int]) -> Array:
    """The inverse of `joined` for a value of this shape."""
    kept = [extent for place, extent in enumerate(shape) if place not in dims]
    whole = flat.reshape(*kept, *(shape[dim] for dim in dims))
    return np.moveaxis(whole, range(len(kept), len(shape)), dims)


def order(key: Array, dims: Sequence[int]) -> Array:
    """Places in ascending order of a key; equals in the order of their places, nan last."""
    return np.argsort(joined(key, dims), axis=-1, kind="stable")


def _sort(run: Run) -> Array:
    x, key = run.args
    return separated(np.take_along_axis(joined(x, run.dims), order(key, run.dims), -1), x.shape, run.dims)


def _unsort(run: Run) -> Array:
    x, key = run.args
    back = np.argsort(order(key, run.dims), axis=-1)
    return separated(np.take_along_axis(joined(x, run.dims), back, -1), x.shape, run.dims)


def _rank(run: Run) -> Array:
    (key,) = run.args
    return separated(np.argsort(order(key, run.dims), axis=-1), key.shape, run.dims)


def _cumsum(run: Run) -> Array:
    (x,) = run.args
    flat = joined(x, run.dims)
    total = np.cumsum(flat[..., ::-1], axis=-1)[..., ::-1] if run.option("reverse") else np.cumsum(flat, axis=-1)
    return separated(total, x.shape, run.dims)


# ------------------------------------------------------------------------------------------ one behind the other
def _concat(run: Run) -> Array:
    moved = [
        np.moveaxis(x, _place(run, axis, arg.axes), -1)
        for x, axis, arg in zip(run.args, run.node.over, run.node.args, strict=True)
    ]
    return np.moveaxis(np.concatenate(moved, axis=-1), -1, _place(run, run.node.into[0], run.node.axes))


def _place(run: Run, axis: Axis, axes: Axes) -> int:
    """The dimension of an axis among those of a value."""
    return sum(len(run.extents((known,))) for known in axes[: axes.index(axis)])


# ------------------------------------------------------------------------------------------ spectra
def _part(run: Run, z: Array) -> Array:
    return np.real(z) if run.option("part") == "re" else np.imag(z)


def _fft(run: Run) -> Array:
    return _part(run, np.fft.fftn(run.args[0], axes=run.dims, norm="ortho"))


def _window(run: Run) -> Array:
    """A periodic Hann or Hamming window in the middle of a frame."""
    n, win = int(run.option("n")), int(run.option("win"))
    base = {"hann": 0.5, "hamming": 0.54}[run.option("window")]
    middle = base - (1 - base) * np.cos(2 * np.pi * np.arange(win) / win)
    return np.pad(middle, ((n - win) // 2, n - win - (n - win) // 2))


def _places(run: Run, length: int) -> tuple[Array, Array]:
    """For each frame and sample of it, the sample of the signal that it is, and whether it is one."""
    n, hop = int(run.option("n")), int(run.option("hop"))
    frames = (length + 2 * (n // 2) - n) // hop + 1
    places: Array = np.arange(frames)[:, None] * hop + np.arange(n) - n // 2
    if run.option("pad") == "zero":
        return np.clip(places, 0, length - 1), (places >= 0) & (places < length)
    period = max(2 * (length - 1), 1)
    inside = np.minimum(places % period, period - places % period)
    return np.minimum(inside, length - 1), np.ones_like(places, dtype=bool)


def _stft(run: Run) -> Array:
    x = np.moveaxis(run.args[0], run.dims[0], -1)
    places, there = _places(run, x.shape[-1])
    spectra = np.fft.rfft(np.where(there, x[..., places], 0) * _window(run), axis=-1)
    return np.moveaxis(_part(run, spectra), -2, run.dims[0])


def _stft_t(run: Run) -> Array:
    g, length = np.moveaxis(run.args[0], run.dims[0], -2), int(run.args[1])
    n = int(run.option("n"))
    turns: Array = np.arange(g.shape[-1], dtype=np.float64) * (2 * np.pi / n)
    angles = np.multiply.outer(turns, np.arange(n))
    waves = np.cos(angles) if run.option("part") == "re" else -np.sin(angles)
    frames = g @ waves * _window(run)
    places, there = _places(run, length)
    x = np.zeros((*g.shape[:-2], length))
    for frame, place in np.ndindex(*places.shape):
        if there[frame, place]:
            x[..., places[frame, place]] += frames[..., frame, place]
    return np.moveaxis(x, -1, run.dims[0])


# ------------------------------------------------------------------------------------------ pairs of axes
def _each(function: Callable[[Array], Array], matrices: Array) -> Array:
    """A function of each matrix of a stack; nan where it has none."""
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    results: list[Array | None] = []
    for matrix in flat:
        try:
            results.append(np.asarray(function(matrix)))
        except np.linalg.LinAlgError:
            results.append(None)
    shape = next((r.shape for r in results if r is not None), np.asarray(function(np.eye(flat.shape[-1]))).shape)
    whole = [np.full(shape, np.nan) if result is None else result for result in results]
    return np.array(whole).reshape(*matrices.shape[:-2], *shape)


def _cholesky(run: Run) -> Array:
    return run.back(_each(np.linalg.cholesky, run.matrix()), run.node.over)


def _inv(run: Run) -> Array:
    """The inverse takes rows to columns: with rows first it is transposed."""
    return run.back(np.swapaxes(_each(np.linalg.inv, run.matrix()), -2, -1), run.node.over)


def _solve(run: Run) -> Array:
    row, column = run.dims
    x = np.moveaxis(run.args[1], column, -1)[..., 0]  # it is the same along the columns
    x = np.moveaxis(x, row - (column < row), -1)
    inverse = _each(np.linalg.inv, run.matrix())
    return run.back((inverse @ x[..., None])[..., 0], run.node.into)


def _logdet(run: Run) -> Array:
    sign, size = np.linalg.slogdet(run.matrix())
    return np.where(sign < 0, np.nan, size)


def _pinv(run: Run) -> Array:
    return run.back(np.swapaxes(np.linalg.pinv(run.matrix()), -2, -1), run.node.over)


def _eigvals(run: Run) -> Array:
    return run.back(np.linalg.eigvalsh(run.matrix()), run.node.into)


def _eigvecs(run: Run) -> Array:
    return run.back(np.linalg.eigh(run.matrix())[1], run.node.over)


def _inv_sqrt(run: Run) -> Array:
    values, vectors = np.linalg.eigh(run.matrix())
    least = values.max(-1, keepdims=True, initial=0.0) * values.shape[-1] * np.finfo(np.float64).eps
    scale = np.where(values > least, 1 / np.sqrt(np.where(values > least, values, 1.0)), 0.0)
    return run.back((vectors * scale[..., None, :]) @ np.swapaxes(vectors, -2, -1), run.node.over)


def _assignment(run: Run) -> Array:
    costs = run.matrix()
    flat = costs.reshape(-1, *costs.shape[-2:])
    chosen = [cheapest(matrix) for matrix in flat]
    return run.back(np.array(chosen, dtype=np.int64).reshape(costs.shape[:-1]), run.node.into)


def cheapest(cost: Array) -> list[int]:
    """The assignment of rows to columns of least cost, by trying every set of columns; -1 for a row without one.

    Infinite costs are forbidden. As many rows as possible get a column; of equals the first column counts.
    """
    rows, columns = cost.shape
    allowed = np.isfinite(cost)
    best: dict[tuple[int, int], tuple[int, float, int]] = {}

    def search(row: int, taken: int) -> tuple[int, float]:
        """How many rows from this one on stay without a column, and what the others cost."""
        if row == rows:
            return 0, 0.0
        if (row, taken) not in best:
            found = [(*_plus(search(row + 1, taken), 1, 0.0), -1)]
            for column in range(columns):
                if allowed[row, column] and not taken >> column & 1:
                    rest = search(row + 1, taken | 1 << column)
                    found.append((*_plus(rest, 0, float(cost[row, column])), column))
            best[row, taken] = min(found, key=lambda option: (option[0], option[1], option[2] < 0))
        return best[row, taken][:2]

    search(0, 0)
    chosen: list[int] = []
    taken = 0
    for row in range(rows):
        column = best[row, taken][2]
        chosen.append(column)
        taken |= 0 if column < 0 else 1 << column
    return chosen


def _plus(rest: tuple[int, float], alone: int, cost: float) -> tuple[int, float]:
    return rest[0] + alone, rest[1] + cost


# ------------------------------------------------------------------------------------------ windows
def _correlate(x: Array, window: Array, dim: int) -> Array:
    """Every whole window along a dimension; none where the window is the longer one."""
    if x.shape[dim] < len(window):
        return np.zeros((*x.shape[:dim], 0, *x.shape[dim + 1 :]))
    return np.lib.stride_tricks.sliding_window_view(x, len(window), axis=dim) @ window


def _conv(run: Run) -> Array:
    x, window = run.args if len(run.args) > 1 else (run.args[0], np.array([-1.0, 1.0]))
    for dim in run.dims:
        x = _correlate(x, window, dim)
    return x


def _conv_t(run: Run) -> Array:
    x, window = run.args if len(run.args) > 1 else (run.args[0], np.array([-1.0, 1.0]))
    for dim, axis in zip(run.dims, run.node.into, strict=True):
        if not x.shape[dim]:  # no window fitted
            x = np.zeros((*x.shape[:dim], *run.extents((axis,)), *x.shape[dim + 1 :]))
            continue
        margins = [(0, 0)] * x.ndim
        margins[dim] = (len(window) - 1, len(window) - 1)
        x = _correlate(np.pad(x, margins), window[::-1], dim)
    return x


def _halves(length: int, pad: str) -> Array:
    """The means of neighbours as a matrix: each row is one mean."""
    odd = length % 2
    before, behind = {"zero": (odd, odd), "replicate": (odd, 0), "valid": (0, 0)}[pad]
    padded = np.pad(np.eye(length), ((before, behind), (0, 0)))
    if pad == "replicate" and odd:
        padded[0] = padded[1]
    count = len(padded) // 2
    return (padded[0 : 2 * count : 2] + padded[1 : 2 * count : 2]) / 2


def _halve(run: Run) -> Array:
    x = run.args[0]
    for dim in run.dims:
        means = _halves(x.shape[dim], run.option("pad", "zero"))
        x = np.moveaxis(np.tensordot(means, x, (1, dim)), 0, dim)
    return x


def _halve_t(run: Run) -> Array:
    x = run.args[0]
    for dim, axis in zip(run.dims, run.node.into, strict=True):
        means = _halves(run.extents((axis,))[0], run.option("pad", "zero"))
        x = np.moveaxis(np.tensordot(means.T, x, (1, dim)), 0, dim)
    return x


TWINS: dict[str, Callable[[Run], Array]] = {
    "sort": _sort,
    "unsort": _unsort,
    "rank": _rank,
    "cumsum": _cumsum,
    "concat": _concat,
    "fft": _fft,
    "stft": _stft,
    "stft_t": _stft_t,
    "cholesky": _cholesky,
    "solve": _solve,
    "inv": _inv,
    "logdet": _logdet,
    "pinv": _pinv,
    "eigvals": _eigvals,
    "eigvecs": _eigvecs,
    "inv_sqrt": _inv_sqrt,
    "assignment": _assignment,
    "conv": _conv,
    "conv_t": _conv_t,
    "halve": _halve,
    "halve_t": _halve_t,
    "diff": _conv,
    "diff_t": _conv_t,
}
