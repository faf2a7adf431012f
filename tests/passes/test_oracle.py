"""The semantics that hold everywhere, on the oracle: empty sets, ties, what is excluded, singular points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.nodes import Node
from losslang.ir.ops import apply, const, reduce
from losslang.ir.oracle import Oracle
from losslang.passes.stabilise import stabilise
from losslang.types import BOOL, REAL, Axis
from tests.passes.programs import leaf

ROW, J = Axis("i", index=0), Axis("j", index=1)
X = leaf("x", REAL, ROW, J)
M = leaf("m", BOOL, ROW, J)
NUMBERS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
NOTHING = np.zeros((3, 2), dtype=bool)


def evaluate(node: Node, **inputs: Any) -> NDArray[Any]:
    given = {"x": NUMBERS, "m": NOTHING, **inputs}
    return Oracle(given).evaluate([node])[0]


def gradient(root: Node, **inputs: Any) -> NDArray[Any]:
    return evaluate(gradients(root, [X])[0], **inputs)


def total(node: Node) -> Node:
    return reduce("sum", node, node.axes)


@pytest.mark.parametrize(
    ("monoid", "value"), [("sum", 0.0), ("max", -math.inf), ("min", math.inf), ("logsumexp", -math.inf)]
)
@pytest.mark.parametrize("over", [(J,), (ROW, J)])
def test_empty_sets(monoid: str, value: float, over: tuple[Axis, ...]) -> None:
    assert np.all(evaluate(reduce(monoid, X, over, M)) == value)
    empty = evaluate(reduce(monoid, X, over), x=np.zeros((3, 0)))
    assert np.all(empty == value)


def test_a_divisor_that_is_no_count_keeps_its_sign() -> None:
    x = ops.apply("mul", ops.const(2.0), ops.iota(Axis("i", 2)))
    (value,) = Oracle({}).evaluate([ops.apply("div", x, ops.const(-1))])
    assert value.tolist() == [0, -2]


def test_empty_sets_of_conditions() -> None:
    assert np.all(evaluate(ops.mean(X, (J,), M)) == 0)
    assert np.all(evaluate(reduce("sum", M, (J,))) == 0)
    assert not np.any(evaluate(reduce("any", M, (J,))))
    assert np.all(evaluate(reduce("all", M, (J,)), m=np.zeros((3, 0), dtype=bool)))


@pytest.mark.parametrize("monoid", ["sum", "max", "min", "logsumexp"])
def test_the_gradient_over_nothing_is_zero(monoid: str) -> None:
    value = total(apply("where", reduce("any", M, (J,)), reduce(monoid, X, (J,), M), const(0.0)))
    assert np.all(gradient(value) == 0)
    assert np.all(gradient(ops.mean(X, (ROW, J), M)) == 0)


@pytest.mark.parametrize("monoid", ["max", "min"])
def test_ties_share_evenly(monoid: str) -> None:
    tied = np.array([[2.0, 2.0], [1.0, 3.0], [4.0, 4.0]])
    assert np.array_equal(gradient(total(reduce(monoid, X, (J,))), x=tied)[[0, 2]], np.full((2, 2), 0.5))
    half = gradient(total(apply(monoid, X, const(2.0))), x=tied)
    assert np.array_equal(half[0], [0.5, 0.5])


def test_a_tie_counts_only_what_the_filter_keeps() -> None:
    keeps = np.array([[True, False], [True, True], [False, False]])
    tied = np.full((3, 2), 7.0)
    value = apply("where", reduce("any", M, (J,)), reduce("max", X, (J,), M), const(0.0))
    assert np.array_equal(gradient(total(value), x=tied, m=keeps), [[1, 0], [0.5, 0.5], [0, 0]])


@pytest.mark.parametrize("name", ["log", "sqrt", "exp", "acos"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, 0.0, 1e9])
def test_what_is_excluded_gives_no_value_and_no_gradient(name: str, bad: float) -> None:
    """As the compiler leaves it: the excluded element is replaced before it can become NaN."""
    keeps = np.array([[True, False], [True, True], [False, True]])
    x = np.where(keeps, 0.5, bad)
    for masked in (
        reduce("sum", apply(name, X), (ROW, J), M),
        ops.mean(apply("mul", apply(name, X), X), (ROW, J), M),
        total(apply("where", M, apply("div", const(1.0), apply(name, X)), const(0.0))),
        total(apply("mul", apply("where", M, apply(name, X), const(0.0)), X)),
    ):
        of = stabilise(ir.Objective("main", (X, M), (ir.Term("t", const(1.0), masked),)))
        (term,) = of.terms
        found = gradient(term.value, x=x, m=keeps)
        assert np.isfinite(evaluate(term.value, x=x, m=keeps))
        assert np.all(found[~keeps] == 0)
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: reduce("sum", apply("sqrt", reduce("sum", apply("mul", x, x), (J,))), (ROW,)),
        lambda x: total(apply("sqrt", apply("mul", x, x))),
        lambda x: total(apply("pow", apply("abs", x), const(0.5))),
        lambda x: total(apply("pow", apply("abs", x), const(1.5))),
        lambda x: total(apply("pow", x, const(3.0))),
        lambda x: total(apply("abs", x)),
        lambda x: total(apply("relu", x)),
    ],
)
def test_singular_points_have_gradient_zero(make: Any) -> None:
    zero = np.zeros((3, 2))
    assert np.all(gradient(make(X), x=zero) == 0)
    of = stabilise(ir.Objective("main", (X,), (ir.Term("t", const(1.0), make(X)),)))
    assert np.all(gradient(of.terms[0].value, x=zero) == 0)
    assert evaluate(of.terms[0].value, x=zero) == 0


def test_a_half_open_range_of_infinities() -> None:
    """logsumexp of -inf alone is -inf and of +inf is +inf, not NaN."""
    rows = np.array([[-math.inf, -math.inf], [math.inf, 0.0], [-math.inf, 1.0]])
    assert np.array_equal(evaluate(reduce("logsumexp", X, (J,)), x=rows), [-math.inf, math.inf, 1.0])
