"""Derivatives of the maps of ``maps.py``: what a cotangent of a map gives each of its operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.maps import map_along
from losslang.ir.nodes import Node
from losslang.ir.ops import apply
from losslang.types import Axis

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


# ------------------------------------------------------------------------------------------ matrices
@dataclass(frozen=True)
class Matrix:
    """A value as a matrix: which axis counts its rows and which its columns."""

    node: Node
    row: Axis
    column: Axis

    @property
    def T(self) -> Matrix:  # noqa: N802  (as everywhere)
        """The transpose: the same numbers in other roles."""
        return Matrix(self.node, self.column, self.row)

    def __matmul__(self, other: Matrix) -> Matrix:
        taken = {*self.node.axes, *other.node.axes, self.row, self.column, other.row, other.column}
        inner, outer = other.row, other.column
        fresh = ops.copies((self.column, outer), taken)
        middle, last = fresh[self.column], fresh[outer]
        left = _moved(self.node, {self.column: middle})
        right = _moved(other.node, {inner: middle, outer: last})
        return Matrix(ops.reduce("sum", apply("mul", left, right), [middle]), self.row, last)

    def __mul__(self, other: Node) -> Matrix:
        return Matrix(apply("mul", self.node, other), self.row, self.column)

    def at(self, row: Axis, column: Axis) -> Node:
        """The numbers over other axes of the same extents."""
        taken = {*self.node.axes, self.row, self.column, row, column}
        fresh = ops.copies((self.row, self.column), taken) if self.row is not self.column else {}
        away = _moved(self.node, fresh)
        return _moved(away, {fresh[self.row]: row, fresh[self.column]: column})


def _moved(x: Node, axes: Mapping[Axis, Axis]) -> Node:
    return ops.index(x, {old: ops.iota(new) for old, new in axes.items()})


def _matrices(node: ir.Map, g: Node) -> tuple[Matrix, Matrix, Matrix]:
    """Operand, result and cotangent of a map from a matrix to a matrix."""
    row, column = node.over
    return Matrix(node.args[0], row, column), Matrix(node, row, column), Matrix(g, row, column)


def _solved(a: Matrix, x: Matrix) -> Matrix:
    """``y`` with ``a @ y = x``."""
    row = _moved(x.node, {x.row: a.row}) if x.row != a.row else x.node
    return Matrix(map_along("solve", (a.node, row), (a.row, a.column)), a.column, x.column)


def _cholesky(node: ir.Map, g: Node) -> Parts:
    """The derivative for symmetric matrices: L^-T phi(L^T g) L^-1, made symmetric; phi halves the diagonal."""
    row, column = node.over
    _, lower, change = _matrices(node, g)
    product = lower.T @ change
    i, j = ops.iota(product.row), ops.iota(product.column)
    half = apply("where", apply("eq", i, j), ops.const(0.5), ops.const(1.0))
    triangle = apply("where", apply("le", j, i), half, ops.const(0.0))
    left = _solved(lower.T, product * triangle)
    whole = _solved(_away(lower.T, left), left.T).T
    first, second = whole.at(row, column), whole.T.at(row, column)
    return (apply("mul", ops.const(0.5), apply("add", first, second)),)


def _away(matrix: Matrix, other: Matrix) -> Matrix:
    """A matrix over axes that another value does not have."""
    taken = {*matrix.node.axes, *other.node.axes, matrix.row, matrix.column, other.row, other.column}
    fresh = ops.copies((matrix.row, matrix.column), taken)
    return Matrix(_moved(matrix.node, fresh), fresh[matrix.row], fresh[matrix.column])


def _solve(node: ir.Map, g: Node) -> Parts:
    row, column = node.over
    change = map_along("solve", (node.args[0], g), (column, row))
    return apply("neg", apply("mul", change, node)), change


def _inv(node: ir.Map, g: Node) -> Parts:
    _, inverse, change = _matrices(node, g)
    return (apply("neg", (inverse @ change.T @ inverse).at(*node.over)),)


def _logdet(node: ir.Map, g: Node) -> Parts:
    return (apply("mul", g, map_along("inv", node.args, node.over)),)


def _pinv(node: ir.Map, g: Node) -> Parts:
    """Golub and Pereyra's derivative; the node holds the transpose of the pseudo-inverse."""
    a, held, change = _matrices(node, g)
    p, g_p = held.T, change.T
    first = apply("neg", (p.T @ g_p @ p.T).at(*node.over))
    outer = g_p.T @ p @ p.T
    second = apply("sub", outer.at(*node.over), (a @ p @ outer).at(*node.over))
    inner = p.T @ p @ g_p.T
    third = apply("sub", inner.at(*node.over), (inner @ p @ a).at(*node.over))
    return (apply("add", first, apply("add", second, third)),)


def _spectrum(node: ir.Map) -> tuple[Node, Matrix]:
    """Eigenvalues along the columns, and the eigenvectors."""
    row, column = node.over
    values = map_along("eigvals", node.args[:1], node.over)
    vectors = Matrix(map_along("eigvecs", node.args[:1], node.over), row, column)
    return _moved(values, {row: column}), vectors


def _eigvals(node: ir.Map, g: Node) -> Parts:
    row, column = node.over
    _, vectors = _spectrum(node)
    return (((vectors * _moved(g, {row: column})) @ vectors.T).at(row, column),)


def _between(node: ir.Map, g: Node, slope: Callable[[Node, Node], Node]) -> Parts:
    """``V ((V^T g V) * slope(s_i, s_j)) V^T``: the derivative of a function of a symmetric matrix."""
    row, column = node.over
    values, vectors = _spectrum(node)
    inner = vectors.T @ Matrix(g, row, column) @ vectors
    factor = slope(_moved(values, {column: inner.row}), _moved(values, {column: inner.column}))
    return ((vectors @ (inner * factor) @ vectors.T).at(row, column),)


def _inv_sqrt_slope(x: Node, y: Node) -> Node:
    """``(f(x) - f(y))/(x - y)`` of ``f(x) = x^-1/2``: ``-1/(sqrt(x y) (sqrt(x) + sqrt(y)))``."""
    positive = apply("and", apply("lt", ops.const(0.0), x), apply("lt", ops.const(0.0), y))
    a, b = (apply("sqrt", apply("where", positive, value, ops.const(1.0))) for value in (x, y))
    whole = apply("div", ops.const(-1.0), apply("mul", apply("mul", a, b), apply("add", a, b)))
    return apply("where", positive, whole, ops.const(0.0))


def _eigvecs(node: ir.Map, g: Node) -> Parts:
    """Eigenvectors turn towards each other by ``1/(s_j - s_i)``; where two values are equal they do not."""
    row, column = node.over
    values, vectors = _spectrum(node)
    inner = vectors.T @ Matrix(g, row, column)
    gap = apply("sub", _moved(values, {column: inner.column}), _moved(values, {column: inner.row}))
    equal = apply("eq", gap, ops.const(0.0))
    factor = apply("div", ops.const(1.0), apply("where", equal, ops.const(1.0), gap))
    turned = vectors @ (inner * apply("where", equal, ops.const(0.0), factor)) @ vectors.T
    whole = apply("add", turned.at(row, column), turned.T.at(row, column))
    return (apply("mul", ops.const(0.5), whole),)


# ------------------------------------------------------------------------------------------ linear maps
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


def _concat(node: ir.Map, g: Node) -> Parts:
    """To each operand the stretch of the cotangent that is its own."""
    (joined,) = node.into
    parts: list[Node] = []
    start: Node = ops.const(0)
    for axis, arg in zip(node.over, node.args, strict=True):
        parts.append(ops.index(g, {joined: ops.apply("add", ops.iota(axis), start)}))
        start = ops.apply("add", start, ops.size(axis, arg))
    return tuple(parts)


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
    "concat": _concat,
    "fft": _fft,
    "stft": _stft,
    "stft_t": _stft_back,
    "cholesky": _cholesky,
    "solve": _solve,
    "inv": _inv,
    "logdet": _logdet,
    "pinv": _pinv,
    "eigvals": _eigvals,
    "eigvecs": _eigvecs,
    "inv_sqrt": lambda node, g: _between(node, g, _inv_sqrt_slope),
    "conv": _transposed,
    "conv_t": _back,
    "halve": _transposed,
    "halve_t": _back,
    "diff": _transposed,
    "diff_t": _back,
}
