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
from losslang.types import Axes

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

    def option(self, name: str, default: Any = None) -> Any:
        """An option of the map."""
        return dict(self.node.options).get(name, default)


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
    for dim in run.dims:
        margins = [(0, 0)] * x.ndim
        margins[dim] = (len(window) - 1, len(window) - 1)
        x = _correlate(np.pad(x, margins), window[::-1], dim)
    return x


TWINS: dict[str, Callable[[Run], Array]] = {
    "sort": _sort,
    "unsort": _unsort,
    "rank": _rank,
    "cumsum": _cumsum,
    "conv": _conv,
    "conv_t": _conv_t,
    "diff": _conv,
    "diff_t": _conv_t,
}
