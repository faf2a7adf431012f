"""What each primitive of the language means: values against numpy's own, edges, filters, empty axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from losslang.diagnostics import LosslangError
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.nodes import Node
from losslang.ir.oracle import ELEMENTWISE, Oracle
from losslang.sema.elaborate import Alone, value_of
from losslang.sema.modules import LIBRARY_ONLY, environment
from losslang.source import Source
from losslang.syntax import ast, parser

Array = NDArray[Any]
X = np.array([[0.5, -1.25, 2.0], [3.0, 0.25, -0.75]])


def alone(text: str, header: str = "x: real[i, j]") -> Alone:
    """The value of an expression whose inputs a header declares."""
    module = parser.parse_module(Source("t.loss", f"objective main({header}): {text}\n"))
    (definition,) = module.items
    assert isinstance(definition, ast.Definition)
    return value_of(definition.value, LIBRARY_ONLY, definition.parameters)


def value(text: str, header: str = "x: real[i, j]", **arrays: Any) -> Array:
    """Its elements, in the order of its axes as written; NaN where there is none."""
    found = alone(text, header)
    oracle = Oracle({"x": X, **arrays})
    nodes: list[Node] = [found.value.node, *([found.present] if found.present is not None else [])]
    elements, *present = oracle.evaluate([*nodes, *found.inputs.values()])[: len(nodes)]
    if present:
        mask = np.broadcast_to(oracle.align(nodes[1], nodes[0].axes), elements.shape)
        elements = np.where(mask, elements, math.nan)
    order = [axis for axis in found.value.order if axis in nodes[0].axes]
    return elements.transpose([place for axis in order for place in oracle.places((axis,), nodes[0].axes)])


def gradient(text: str, header: str = "x: real[i, j]", **arrays: Any) -> Array:
    """The gradient at x of the sum of its elements."""
    found = alone(text, header)
    of = found.inputs["x"]
    total = ops.reduce("sum", found.value.node, found.value.node.axes)
    return Oracle({"x": X, **arrays}).evaluate([*gradients(total, [of]), *found.inputs.values()])[0]


# ------------------------------------------------------------------------------------------ elementwise
def test_polygamma_is_the_derivative_of_lgamma() -> None:
    x = np.array([0.1, 0.5, 1.0, 2.5, 7.0, 30.0, -0.5, -3.3])
    step = 1e-5
    digamma = ELEMENTWISE["polygamma"](np.array(0), x)
    lgamma = ELEMENTWISE["lgamma"]
    assert np.allclose(digamma, (lgamma(x + step) - lgamma(x - step)) / (2 * step), rtol=1e-8, atol=1e-8)
    assert np.isclose(ELEMENTWISE["polygamma"](np.array(0), np.array([1.0]))[0], -0.57721566490153286, rtol=1e-14)
    assert np.isclose(ELEMENTWISE["polygamma"](np.array(1), np.array([1.0]))[0], math.pi**2 / 6, rtol=1e-14)
    assert np.isclose(ELEMENTWISE["polygamma"](np.array(2), np.array([1.0]))[0], -2.4041138063191886, rtol=1e-14)


def test_lgamma_at_its_poles_is_infinite() -> None:
    assert np.all(value("lgamma(x)", x=np.array([[0.0, -1.0], [-7.0, -math.inf]])) == math.inf)


def test_round_goes_to_the_even_neighbour() -> None:
    x = np.array([[0.5, 1.5], [-0.5, 2.5]])
    assert np.array_equal(value("round(x)", x=x), [[0, 2], [0, 2]])
    assert np.array_equal(value("ceil(x)", x=x), [[1, 2], [0, 3]])


def test_elu_is_smooth_at_zero() -> None:
    assert np.allclose(value("elu(x)"), np.where(X > 0, X, np.expm1(X)))
    assert np.array_equal(gradient("elu(x)", x=np.array([[0.0, 800.0], [-800.0, 0.0]])), [[1, 1], [0, 1]])


def test_logarithms_of_other_bases() -> None:
    assert np.allclose(value("log2(x)", x=np.array([[8.0, 0.5]])), [[3, -1]])
    assert np.allclose(value("log10(x)", x=np.array([[1000.0, 0.1]])), [[3, -1]])


def test_functions_are_values() -> None:
    both = value("triplet(x, k, hinge=elu, margin=0.1)", "x: embed[i, d], k: int[i]", k=np.array([0, 1]))
    assert both == 0


# ------------------------------------------------------------------------------------------ reductions
def test_prod() -> None:
    assert np.allclose(value("prod[j](x)"), X.prod(1))
    assert np.allclose(value("prod[i, j if x > 0](x)"), X[X > 0].prod())
    assert value("prod[i, j if x > 9](x)") == 1
    assert np.array_equal(value("prod[j](x)", x=np.zeros((2, 0))), [1, 1])


def test_the_gradient_of_a_product_is_exact_at_zeros() -> None:
    x = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]])
    assert np.array_equal(gradient("prod[j](x)", x=x), [[0, 6, 0], [0, 0, 0]])


def test_the_second_derivative_of_a_product_is_exact_at_zeros() -> None:
    found = alone("prod[j](x)", "x: real[j]")
    of = found.inputs["x"]
    (first,) = gradients(found.value.node, [of])
    picked = ops.index(first, {of.axes[0]: ops.const(0)})
    (second,) = gradients(picked, [of])
    assert np.array_equal(Oracle({"x": np.array([0.0, 0.0, 5.0])}).evaluate([second, of])[0], [0, 5, 0])


def test_norm_over_several_axes() -> None:
    assert np.isclose(value("norm[i, j](x)"), np.linalg.norm(X))
    assert np.isclose(value("norm[...](x)"), np.linalg.norm(X))
    assert np.allclose(value("norm[j](x, 1)"), np.abs(X).sum(1))
    assert np.isclose(value("norm[i, j](x, p=inf)"), 3)
    assert np.allclose(value("norm[j if x > 0](x)"), np.linalg.norm(np.maximum(X, 0), axis=1))


def test_spread_over_a_filter() -> None:
    kept = X[X > 0]
    assert np.isclose(value("std[i, j if x > 0](x)"), kept.std())
    assert np.isclose(value("sample_std[i, j if x > 0](x)"), kept.std(ddof=1))
    assert np.allclose(value("sample_var[j](x)"), X.var(1, ddof=1))
    assert value("sample_std[i, j if x > 2.5](x)") == 0, "of one element"
    assert value("sample_std[i, j if x > 99](x)") == 0, "of none"


def test_argmin() -> None:
    assert np.array_equal(value("argmin[j](x)"), X.argmin(1))
    assert np.array_equal(value("argmin[j if x > 0](x)"), [0, 1])
    assert np.array_equal(value("argmin[j](x)", x=np.array([[2.0, 1.0, 1.0]])), [1]), "the first of equals"
    assert np.array_equal(value("argmax[j if k > 0](k)", "k: int[i, j]", k=np.array([[3, 1, 2]])), [0])


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("bracket", ["i, j", "..."])
def test_a_place_is_on_one_axis(name: str, bracket: str) -> None:
    with pytest.raises(LosslangError, match="LL0302"):
        value(f"{name}[{bracket}](x)")


# ------------------------------------------------------------------------------------------ sorting and running sums
KEYS = np.array([[2.0, 1.0, 2.0], [0.0, -1.0, 0.0]])
PAIR = "x, y: real[i, j]"


def test_sort() -> None:
    assert np.array_equal(value("sort[j](x)"), np.sort(X, 1))
    assert np.array_equal(value("sort[i, j](x)").ravel(), np.sort(X.ravel()))
    assert np.array_equal(value("sort[j](x, by=y)", PAIR, y=KEYS), X[[[0, 0, 0], [1, 1, 1]], [[1, 0, 2], [1, 0, 2]]])


def test_what_a_filter_excludes_is_sorted_to_the_end_and_absent() -> None:
    found = value("sort[j if x > 0](x)")
    assert np.array_equal(found, [[0.5, 2.0, math.nan], [0.25, 3.0, math.nan]], equal_nan=True)
    assert np.isclose(value("mean[j](sort[j if x > 0](x))")[0], 1.25)
    infinite = np.array([[math.inf, 1.0, -1.0]])
    assert np.array_equal(value("sort[j if x > 0](x)", x=infinite), [[1.0, math.inf, math.nan]], equal_nan=True)
    assert np.array_equal(value("rank[j if x > 0](x)", x=infinite), [[1, 0, math.nan]], equal_nan=True)


def test_nan_outside_a_filter_moves_nothing() -> None:
    x = np.array([[math.nan, 2.0, 1.0]])
    assert np.array_equal(value("sort[j if m](x)", "x: real[i, j], m: bool[i, j]", x=x, m=x == x)[0, :2], [1, 2])


def test_unsort_is_the_inverse_of_sort() -> None:
    assert np.array_equal(value("unsort[j](sort[j](x, by=y), by=y)", PAIR, y=KEYS), X)
    assert np.array_equal(value("unsort[i, j](sort[i, j](x, by=y), by=y)", PAIR, y=KEYS), X)


def test_rank_takes_the_first_of_equals() -> None:
    assert np.array_equal(value("rank[j](y)", PAIR, y=KEYS), [[1, 0, 2], [1, 0, 2]])
    assert np.array_equal(value("rank[i, j](y)", PAIR, y=KEYS), [[4, 3, 5], [1, 0, 2]])
    assert np.array_equal(value("rank[j if y > 1](y)", PAIR, y=KEYS)[0], [0, math.nan, 1], equal_nan=True)


def test_a_rank_is_a_filter() -> None:
    """Online hard example mining: the mean of the k largest."""
    x = np.array([3.0, 9.0, 1.0, 7.0])
    assert value("mean[j if rank[j](-x) < 2](x)", "x: real[j]", x=x) == 8
    assert np.array_equal(gradient("mean[j if rank[j](-x) < 2](x)", "x: real[j]", x=x), [0, 0.5, 0, 0.5])


def test_a_rank_indexes_its_axis() -> None:
    x = np.array([3.0, 9.0, 1.0])
    assert np.array_equal(value("sort[j](x)[rank[j](x)]", "x: real[j]", x=x), x)


def test_cumsum() -> None:
    assert np.allclose(value("cumsum[j](x)"), np.cumsum(X, 1))
    assert np.allclose(value("cumsum[i](x, reverse=true)"), np.cumsum(X[::-1], 0)[::-1])
    assert np.array_equal(value("cumsum[j](x > 0)"), np.cumsum(X > 0, 1))
    assert np.array_equal(value("cumsum[j if y > 1](x)", PAIR, y=KEYS)[0], [0.5, math.nan, 2.5], equal_nan=True)


def test_cumsum_in_the_order_of_a_key() -> None:
    assert np.array_equal(value("cumsum[j](x, by=y)", PAIR, y=KEYS)[0], [-0.75, -1.25, 1.25])
    assert np.array_equal(value("cumsum[j](x, by=y, reverse=true)", PAIR, y=KEYS)[0], [2.5, 1.25, 2.0])
    whole = value("cumsum[i, j](x, by=y)", PAIR, y=KEYS)
    order = np.argsort(KEYS.ravel(), kind="stable")
    assert np.allclose(whole.ravel()[order], np.cumsum(X.ravel()[order]))


def test_topk() -> None:
    assert np.array_equal(value("mean[r](topk[j](x, 2))"), [1.25, 1.625])
    assert np.array_equal(value("sum[r](topk[j if x > 0](x, 9))"), [2.5, 3.25]), "of those that there are"
    assert value("sum[r](topk[j if x > 9](x, 2))")[0] == 0
    tied = np.array([[5.0, 7.0, 7.0, 1.0]])
    assert np.array_equal(value("max[r if r == 0](argtopk[j](x, 3))", x=tied), [1]), "the first of equals"


def test_argtopk_indexes_its_axis() -> None:
    """The nearest others: labels of neighbours, and distances to them."""
    x, k = np.array([0.0, 1.0, 5.0, 5.5]), np.array([7, 7, 9, 9])
    text = (
        "loss nearest(x: real[i], k: int[i]) -> [i, r]:\n"
        "    d[i, j] = abs(x[i] - x[j])\n"
        "    near[i, r] = argtopk[j if j != i](-d, 2)\n"
        "    d[i, near] + 100*(k[near] != k[i])\n"
    )
    module = parser.parse_module(Source("t.loss", text))
    found = value_of(ast.Name("nearest"), environment(module))
    elements = Oracle({"x": x, "k": k}).evaluate([found.value.node, *found.inputs.values()])[0]
    order = [axis.name for axis in found.value.node.axes]
    rows = elements if order[0] == "i" else elements.T
    assert np.array_equal(rows, [[1, 105], [1, 104], [0.5, 104], [0.5, 104.5]])


def test_nothing_sorted_is_nothing() -> None:
    empty = np.zeros((2, 0))
    assert value("sort[j](x)", x=empty).shape == value("cumsum[j](x)", x=empty).shape == (2, 0)
    assert np.array_equal(value("sum[r](topk[j](x, 2))", x=empty), [0, 0])
    assert np.array_equal(value("median[j](x)", x=empty), [0, 0])


def test_median() -> None:
    assert np.allclose(value("median[j](x)"), np.median(X, 1))
    assert np.isclose(value("median[i, j](x)"), np.median(X))
    assert np.isclose(value("median[i, j if x > 0](x)"), np.median(X[X > 0]))


# ------------------------------------------------------------------------------------------ matrices
SQUARE = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.25], [0.5, -0.25, 2.0]])
MATRIX = "a: real[d=3, e=3]"


def test_matrix_functions() -> None:
    assert np.allclose(value("cholesky[d, e](a)", MATRIX, a=SQUARE), np.linalg.cholesky(SQUARE))
    skew = SQUARE + np.triu(np.full((3, 3), 0.3), 1)
    assert np.allclose(value("sum[e](a * inv[d, e](a)[d=q, e=e])", MATRIX, a=skew), np.eye(3)), (
        "it takes rows to columns"
    )
    assert np.allclose(value("logdet[d, e](a)", MATRIX, a=skew), np.log(np.linalg.det(skew)))
    assert np.allclose(value("eigvals[d, e](a)", MATRIX, a=SQUARE), np.linalg.eigvalsh(SQUARE))
    assert np.allclose(value("eigmin[d, e](a)", MATRIX, a=SQUARE), np.linalg.eigvalsh(SQUARE)[0])
    root = value("inv_sqrt[d, e](a)", MATRIX, a=SQUARE)
    assert np.allclose(root @ root @ SQUARE, np.eye(3))
    assert np.allclose(value("spectral_norm[i, j](x)"), np.linalg.norm(X, 2))
    assert np.allclose(value("pinv[i, j](x)"), np.linalg.pinv(X).T)


def test_solve() -> None:
    skew = SQUARE + np.triu(np.full((3, 3), 0.3), 1)
    y = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    found = value("solve[d, e](a, y)", MATRIX + ", y: real[i, d]", a=skew, y=y)
    assert np.allclose(found @ skew.T, y)


def test_a_matrix_without_a_result_gives_nan() -> None:
    singular = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
    assert np.all(np.isnan(value("cholesky[d, e](a)", MATRIX, a=singular)))
    assert np.all(np.isnan(value("inv[d, e](a)", MATRIX, a=singular)))
    assert value("logdet[d, e](a)", MATRIX, a=singular) == -math.inf
    assert np.isnan(value("logdet[d, e](a)", MATRIX, a=-np.eye(3)))


def test_the_identity() -> None:
    assert np.array_equal(value("a*(d == e)", MATRIX, a=SQUARE), np.diag(np.diag(SQUARE)))


def test_equal_eigenvalues_leave_the_derivative_finite() -> None:
    header = MATRIX.replace("a:", "x:")
    for text in ("inv_sqrt[d, e](x)", "eigmin[d, e](x)"):
        assert np.all(np.isfinite(gradient(text, header, x=2 * np.eye(3)))), text
    assert np.all(gradient("spectral_norm[i, j](x)", x=np.zeros((2, 3))) == 0)


def test_assignment() -> None:
    cost = np.array([[1.0, 2.0, 9.0], [1.0, 5.0, 0.0]])
    assert np.array_equal(value("assignment[i, j](x)", x=cost), [0, 2])
    assert np.array_equal(value("assignment[i, j if x < 5](x)", x=cost.T), [0, math.nan, 1], equal_nan=True)
    assert np.array_equal(value("assignment[i, j](x)", x=np.zeros((2, 3))), [0, 1]), "the first of equals"
    assert value("mean[i](x[assignment[i, j](x)])", x=cost.T) == 0.5, "what gets none is absent"


def test_halve_is_average_pooling() -> None:
    x = np.arange(12.0).reshape(2, 6)
    assert np.allclose(value("halve[i, j](x)", x=x), [[3.5, 5.5, 7.5]])
    odd = np.array([[2.0, 4.0, 6.0]])
    assert np.allclose(value("halve[j](x)", x=odd), [[1.0, 5.0]]), "a zero on either side, which counts"
    assert np.allclose(value("halve[j](x, pad=replicate)", x=odd), [[2.0, 5.0]]), "the first again"
    assert np.allclose(value("halve[j](x, pad=valid)", x=odd), [[3.0]]), "without the last"
    assert value("sum[j](halve[j](x))", x=np.zeros((2, 0))).tolist() == [0, 0]
