"""Hash-consing, the normal forms of the constructors, and what `verify` finds."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.nodes import Node, Objective, topological
from losslang.ir.ops import apply, const, index, iota, reduce
from losslang.ir.rewrite import substitute, transform
from losslang.ir.spec import verify
from losslang.passes import pipeline
from losslang.types import BOOL, REAL, Axis, Kind
from tests.passes.programs import leaf, objective

ROW, C = Axis("i", index=0), Axis("c", index=1)
J = ROW.copy(1)
X, Y = leaf("x", REAL, ROW, C), leaf("y", REAL, ROW, C)
M = leaf("m", BOOL, ROW, C)
L = leaf("k", Kind("label"), ROW, bound=C)
ZERO, ONE = const(0.0), const(1.0)


# ------------------------------------------------------------------------------------------ hash-consing
def test_equal_expressions_are_one_object() -> None:
    assert apply("exp", apply("add", X, Y)) is apply("exp", apply("add", Y, X))
    assert reduce("sum", X, [ROW, C]) is reduce("sum", X, [C, ROW])
    assert index(X, {ROW: iota(J)}) is index(X, {ROW: iota(ROW.copy(1))})


def test_numbers_of_different_type_stay_apart() -> None:
    assert len({const(1), const(1.0), const(True)}) == 3
    assert const(math.nan) is const(float("nan"))


def test_nodes_are_freed() -> None:
    key = apply("sin", apply("cos", apply("tanh", apply("mul", X, const(0.123456789)))))
    known = len(ir._table)  # pyright: ignore[reportPrivateUsage]
    del key
    gc.collect()
    assert len(ir._table) < known  # pyright: ignore[reportPrivateUsage]


def test_operands_come_in_one_order_in_every_process() -> None:
    program = (
        "from losslang.sema.elaborate import elaborate; from losslang.source import Source;"
        "from losslang.ir.printer import print_objective;"
        "text = 'clip + triplet + nt_xent + ce(smoothing=0.1) + l1(a, b)';"
        "print(print_objective(elaborate(Source('e', text))))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert len(texts) == 1


def test_depth_is_no_limit() -> None:
    node: Node = X
    for _ in range(20_000):
        node = apply("tanh", node)
    assert len(topological([node])) == 20_001
    assert substitute([node], lambda n: Y if n is X else None)[node].args[0] is not node.args[0]


# ------------------------------------------------------------------------------------------ normal forms
A = apply("where", M, X, ZERO)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (apply("mul", A, Y), apply("where", M, apply("mul", X, Y), ZERO)),
        (apply("div", A, Y), apply("where", M, apply("div", X, Y), ZERO)),
        (apply("neg", A), apply("where", M, apply("neg", X), ZERO)),
        (apply("where", M, ZERO, X), apply("where", apply("not", M), X, ZERO)),
        (apply("where", apply("not", M), X, Y), apply("where", M, Y, X)),
        (apply("mul", X, ONE), X),
        (apply("mul", X, ZERO), ZERO),
        (apply("mul", iota(ROW), const(0)), const(0)),
        (apply("mul", X, const(-1.0)), apply("neg", X)),
        (apply("add", X, apply("neg", Y)), apply("sub", X, Y)),
        (apply("sub", X, X), ZERO),
        (apply("sub", X, apply("neg", Y)), apply("add", X, Y)),
        (apply("neg", apply("neg", X)), X),
        (apply("pow", X, const(2)), apply("mul", X, X)),
        (apply("pow", X, const(2.0)), apply("mul", X, X)),
        (apply("pow", X, const(0)), ONE),
        (apply("not", apply("eq", X, Y)), apply("ne", X, Y)),
        (apply("and", M, const(True)), M),
        (apply("or", M, const(True)), const(True)),
        (apply("eq", iota(ROW), iota(ROW)), const(True)),
        (apply("add", M, X), apply("add", apply("real", M), X)),
        (apply("stop", apply("stop", X)), apply("stop", X)),
        (apply("exp", ZERO), ONE),
        (reduce("sum", apply("real", M), [C]), reduce("sum", M, [C])),
        (reduce("sum", ONE, [C], M), reduce("sum", M, [C])),
        (reduce("sum", X, [J]), apply("mul", ops.size(J), X)),
        (reduce("max", X, [J]), X),
        (reduce("sum", X, [C], const(False)), ZERO),
        (reduce("max", X, [C], const(True)), reduce("max", X, [C])),
        (ops.stack(Axis("v", 2), [const(1.0), const(2.5)]), ops.table([1.0, 2.5], Axis("v", 2))),
    ],
)
def test_normal_forms(made: Node, wanted: Node) -> None:
    assert made is wanted


def test_real_comparison_of_a_value_with_itself_is_kept() -> None:
    """It is false where the value is NaN."""
    assert not ops.is_const(apply("eq", X, X))


def test_what_cannot_fold_stays() -> None:
    assert isinstance(apply("log", const(-1.0)), ir.Op)
    assert isinstance(apply("exp", const(1e9)), ir.Op)


# ------------------------------------------------------------------------------------------ indexing
def test_a_pick_sinks_to_the_leaves() -> None:
    logp = apply("sub", X, reduce("logsumexp", X, [C]))
    picked = index(logp, {C: L})
    assert picked is apply("sub", index(X, {C: L}), reduce("logsumexp", X, [C]))


def test_a_renaming_stays_a_view() -> None:
    node = apply("exp", X)
    renamed = index(node, {ROW: iota(J)})
    assert isinstance(renamed, ir.Index)
    assert renamed.args[0] is node
    assert index(renamed, {J: iota(ROW)}) is node


def test_an_index_into_a_reduction_avoids_its_variable() -> None:
    gram = reduce("sum", apply("mul", X, index(Y, {ROW: iota(J)})), [J])
    moved = index(gram, {ROW: iota(J)})
    assert J in moved.axes
    assert ROW not in moved.axes


def test_a_stack_indexed_by_a_permutation_is_another_stack() -> None:
    v = Axis("v", 2)
    both = ops.stack(v, [X, Y])
    swapped = index(both, {v: apply("sub", const(1), iota(v))})
    assert swapped is ops.stack(v, [Y, X])
    assert index(both, {v: const(1)}) is Y


# ------------------------------------------------------------------------------------------ rewriting
def test_transform_of_nothing_is_the_same_object() -> None:
    of = objective("l1 + focal")
    assert transform(of, lambda node: None) is of
    assert of.map(lambda node: node) == of


def test_every_stage_of_the_pipeline_is_verified() -> None:
    for name in pipeline.NAMES:
        verify(pipeline.run(objective("l1 + 0.5*ce | uncertainty"), name))


def test_verify_finds_what_is_wrong() -> None:
    of = pipeline.run(objective("l1 + mse"))
    broken = [
        replace(of, terms=(of.terms[0], of.terms[0])),
        replace(of, weights=of.weights[:1]),
        replace(of, total=ir.intern(ir.TermValue, (), (), "real", "l1")),
        _with(of, ir.intern(ir.Op, (X,), (ROW, C), "real", "add")),
        _with(of, ir.intern(ir.Op, (X,), (ROW,), "real", "exp")),
        _with(of, ir.intern(ir.Reduce, (X,), (ROW,), "real", "median", (C,))),
        _with(of, ir.intern(ir.Reduce, (X,), (ROW, C), "real", "sum", (C,))),
        _with(of, ir.intern(ir.Reduce, (X, Y), (ROW,), "real", "sum", (C,))),
        _with(of, ir.intern(ir.Index, (X, ONE), (ROW,), "real", (C,))),
        _with(of, ir.intern(ir.Op, (X,), (C, ROW), "real", "exp")),
    ]
    for wrong in broken:
        with pytest.raises(AssertionError):
            verify(wrong)


def _with(of: Objective, node: Node) -> Objective:
    return replace(of, terms=(*of.terms, ir.Term("wrong", ONE, node)), weights=(*of.weights, ONE))


def test_a_pick_visits_shared_parts_once() -> None:
    """Forty levels that use the level below three times: as a tree, more parts than there are atoms in a gram."""
    value = X
    for _ in range(40):
        value = apply("add", apply("mul", value, value), value)
    picked = index(value, {C: L})
    assert picked.axes == (ROW,)
    assert len(topological([picked])) < 200


def test_there_is_one_zero() -> None:
    first = ops.const(-0.0)
    assert first is ops.const(0.0)
    assert isinstance(first, ir.Const) and math.copysign(1, first.value) == 1
