"""The IR prints as legal losslang, and what it prints elaborates back to the same nodes."""

from __future__ import annotations

import pytest
from hypothesis import given

from losslang.diagnostics import LosslangError
from losslang.ir import nodes as ir
from losslang.ir import ops, printer
from losslang.ir.grad import gradients
from losslang.ir.netspec import ALIASES, TAPS
from losslang.ir.nodes import Objective
from losslang.ir.printer import print_nodes, print_objective
from losslang.passes import pipeline
from losslang.sema import brackets, elementwise, evaluate
from losslang.source import Source
from losslang.syntax import parser
from losslang.syntax.printer import format_source
from losslang.types import Axis
from tests.passes.primitives import PRIMITIVES, title
from tests.passes.programs import (
    COMPOSITES,
    INPUTS,
    LOSSES,
    X,
    as_total,
    differentiable,
    objective,
    programs,
    same,
)


def assert_round_trip(of: Objective) -> None:
    text = print_objective(of)
    assert same(objective(text), of), text


@pytest.mark.parametrize("text", [*LOSSES, *COMPOSITES, *PRIMITIVES.values()], ids=title)
def test_every_stage_prints_what_elaborates_back(text: str) -> None:
    first = objective(text)
    assert_round_trip(first)
    for name in pipeline.NAMES:
        assert_round_trip(pipeline.run(first, name))


@given(programs())
def test_random_programs_round_trip(of: Objective) -> None:
    assert_round_trip(of)
    assert_round_trip(pipeline.run(of))


@pytest.mark.parametrize("text", ["infonce + 0.5*clip", "l1 + 0.5*focal | uncertainty", "tv"])
def test_the_text_is_formatted(text: str) -> None:
    printed = print_objective(pipeline.run(objective(text)))
    assert format_source(Source("printed.loss", printed)) == printed


@pytest.mark.parametrize("text", [*LOSSES, *PRIMITIVES.values()], ids=title)
def test_gradients_print(text: str) -> None:
    of = pipeline.run(objective(text), "share")
    wrt = differentiable(of)
    found = gradients(as_total(of), wrt)
    printed = print_nodes({"total": as_total(of), **{f"grad_{n.name}": g for n, g in zip(wrt, found, strict=True)}})
    body = "".join(f"    {line}\n" for line in printed.splitlines())
    parser.parse_module(Source("printed.loss", f"objective main():\n{body}    total\n"))


def test_two_thousand_terms_print_and_elaborate_back() -> None:
    text = " + ".join(f"{k / 7 + 0.1}*l1(p{k % 50}, t{k % 50})" for k in range(2000))
    assert_round_trip(pipeline.run(objective(text)))


def test_a_deep_chain_prints() -> None:
    node: ir.Node = X
    for _ in range(3000):
        node = ops.apply("tanh", node)
    of = Objective("main", INPUTS, (ir.Term("deep", ops.const(1.0), ops.mean(node, node.axes)),))
    assert_round_trip(of)


def test_names_never_collide() -> None:
    axis = Axis("s", index=0)
    s = ir.intern(ir.Input, (), (axis,), "real", "s", X.kind, (axis,), None)
    lse = ops.reduce("logsumexp", ops.apply("mul", s, ops.apply("real", ops.iota(axis))), [axis])
    total = ops.apply("mul", lse, ops.reduce("sum", s, [axis]))
    assert_round_trip(Objective("main", (s,), (ir.Term("sum", ops.const(1.0), total), ir.Term("s", lse, total))))


def test_numbers_come_back_exactly() -> None:
    axis = Axis("k", 3)
    table = ops.table([0.1, 1e-300, -2.5], axis)
    inner = ops.apply("add", ops.const(float("inf")), ops.reduce("sum", table, [axis]))
    value = ops.apply("add", ops.apply("exp", ops.index(X, {X.axes[1]: ops.const(0)})), inner)
    never = ops.apply("exp", ops.const(float("nan")))
    terms = (ir.Term("t", ops.const(-1e-7), ops.mean(value, value.axes)), ir.Term("u", ops.const(1.0), never))
    assert_round_trip(Objective("main", INPUTS, terms))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("l1 | total()", "LL0206"),
        ("l1 | total(1.0, weights=[1.0, 2.0])", "LL0206"),
        ("l1 | total(1.0, other=3)", "LL0206"),
        ("l1 | total(loss[l1], by=x, of=[focal])", "LL0206"),
        ("l1 | total(loss[l1])", "LL0206"),
        ("l1 | total(1.0) | uncertainty", "LL0206"),
        ("auto*l1 | total(1.0)", "LL0206"),
        ("l1 | total(loss)", "LL0307"),
        ("pick()*l1", "LL0207"),
        ("pick(pred, 3)*l1", "LL0207"),
        ("size[q](pred)*l1", "LL0204"),
        ("size[b, ...](pred)*l1", "LL0204"),
        ("index(3)*l1", "LL0204"),
        ("objective main(x: real[i]):\n    v = x^2\n    rows() as v\n", "LL0201"),
        ("objective main(x: real[i]):\n    v[i, j] = x^2\n    v\n", "LL0204"),
    ],
)
def test_what_only_the_compiler_writes_is_checked_too(text: str, code: str) -> None:
    with pytest.raises(LosslangError, match=code):
        objective(text)


def test_a_binding_is_a_value_or_a_term() -> None:
    """A formula is taken as it stands; a loss keeps rows, normaliser and weight until it is a term."""
    of = objective(
        "objective main(x, y: real[i], m: bool[i]):\n"
        "    d = abs(x - y)\n    kept[i if m] = (x - y)^2\n    half = 0.5*l1(x, y)\n"
        "    d + 2*kept + half\n"
    )
    direct = objective(
        "objective main(x, y: real[i], m: bool[i]):\n    l1(x, y) + 2*mse(x, y, mask=m) + 0.5*l1(x, y)\n"
    )
    assert [term.name for term in of.terms] == ["d", "kept", "half"]
    assert [term.value for term in of.terms] == [term.value for term in direct.terms]
    assert [term.weight for term in of.terms] == [term.weight for term in direct.terms]


def test_the_printer_knows_every_word_of_the_language() -> None:
    words = {*evaluate.SPECIAL, *evaluate.CONSTANTS, *evaluate.WINDOWS, *evaluate.EXTENTS}
    words |= {*elementwise.FUNCTIONS, *brackets.REDUCTIONS, *brackets.MAPS, *TAPS, *ALIASES}
    assert words <= printer.RESERVED
