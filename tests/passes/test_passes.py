"""Each pass by pairs of texts (``--update-golden`` writes them anew), and each of its rules by numbers."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from losslang.diagnostics import LosslangError
from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.nodes import Node, Objective
from losslang.ir.ops import apply, const, reduce
from losslang.ir.oracle import Oracle
from losslang.ir.printer import print_objective
from losslang.ir.rewrite import substitute
from losslang.passes import pipeline, simplify, stabilise
from losslang.types import BOOL, REAL, Axis
from tests.passes.programs import leaf, objective, same

HERE = Path(__file__).parent
STEPS: dict[str, pipeline.Pass] = {
    path.stem: getattr(import_module(f"losslang.passes.{path.stem}"), path.stem) for path in sorted(HERE.glob("*.loss"))
}


class Case(NamedTuple):
    """A case of a fixture file: ``# title``, a text, ``---``, the text after the pass."""

    step: str
    title: str
    source: str
    wanted: str


def _cases(step: str) -> list[Case]:
    text = (HERE / f"{step}.loss").read_text(encoding="utf-8")
    blocks = re.split(r"^=====+\n", text, flags=re.MULTILINE)
    cases: list[Case] = []
    for block in blocks:
        title, _, rest = block.partition("\n")
        source, _, wanted = rest.partition("\n---\n")
        cases.append(Case(step, title.removeprefix("# "), source, wanted.strip("\n")))
    return cases


CASES = [case for step in STEPS for case in _cases(step)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.step}-{case.title}")
def test_the_text_after_a_pass(case: Case, update_golden: bool) -> None:
    after = STEPS[case.step](objective(case.source))
    found = print_objective(after).strip("\n")
    if update_golden:
        _write(case, found)
    else:
        assert found == case.wanted
    assert same(objective(found), after)


def _write(case: Case, found: str) -> None:
    path = HERE / f"{case.step}.loss"
    blocks = [
        f"# {c.title}\n{c.source}\n---\n{found if c.title == case.title else c.wanted}\n" for c in _cases(case.step)
    ]
    path.write_text("=====\n".join(blocks), encoding="utf-8")


def test_every_pass_has_a_fixture_file() -> None:
    assert set(pipeline.NAMES) <= set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_titles_are_distinct(step: str) -> None:
    titles = [case.title for case in CASES if case.step == step]
    assert len(set(titles)) == len(titles) > 1


@pytest.mark.parametrize("step", [s for s in STEPS if s != "balance"])
def test_a_pass_that_finds_nothing_gives_the_same_object(step: str) -> None:
    of = objective("objective main(x: real[i]):\n    top = max[i](tanh(x))\n    top\n")
    assert STEPS[step](of) is of


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("text", ["clip + 0.5*triplet(z, y)", "focal + dice(prob=softmax[c](logits), target=labels)"])
def test_a_pass_is_done_after_one_run(step: str, text: str) -> None:
    before = STEPS[step](pipeline.run(objective(text), step if step in pipeline.NAMES else None))
    assert STEPS[step](before) is before


def test_an_unknown_pass_is_an_error() -> None:
    with pytest.raises(LosslangError, match="LL0206"):
        pipeline.run(objective("l1"), "sharing")


def test_a_learned_value_starts_inside_its_bounds() -> None:
    with pytest.raises(LosslangError, match="LL0305"):
        pipeline.run(objective("sigmoid_focal(alpha=auto(1))"))


# ------------------------------------------------------------------------------------------ rules
ROWS, COLS = Axis("i", index=0), Axis("c", index=1)
X, R, M = leaf("x", REAL, ROWS, COLS), leaf("r", REAL, ROWS), leaf("m", BOOL, ROWS, COLS)
ONE = const(1.0)
SUM_EXP = reduce("sum", apply("exp", X), [COLS])

# equation -> the left side over X
LEFT: dict[str, Node] = {
    "log(sum(exp(x))) = logsumexp(x)": apply("log", SUM_EXP),
    "log(exp(x)) = x": apply("log", apply("exp", X)),
    "log(exp(x)/y) = x - log(y)": apply("log", apply("div", SUM_EXP, ops.size(COLS))),
    "log(1 + exp(x)) = softplus(x)": apply("log1p", apply("exp", X)),
    "log(1 + x) = log1p(x)": apply("log", apply("add", ONE, X)),
    "log(sigmoid(x)) = -softplus(-x)": apply("log", apply("sigmoid", X)),
    "1 - sigmoid(x) = sigmoid(-x)": apply("sub", ONE, apply("sigmoid", X)),
    "exp(x) - 1 = expm1(x)": apply("sub", apply("exp", X), ONE),
}


def at(node: Node, x: float) -> NDArray[Any]:
    return Oracle({"x": np.full((1, 1), x)}).evaluate([node, X])[0]


@pytest.mark.parametrize("rule", stabilise.RULES, ids=lambda rule: rule.equation)
@pytest.mark.parametrize("x", [0.3, 1.7])
def test_a_rule_holds_in_the_reals(rule: stabilise.Rule, x: float) -> None:
    before = LEFT[rule.equation]
    after = rule.rewrite(before)
    assert after is not None
    assert np.allclose(at(after, x), at(before, x), rtol=1e-12)


@pytest.mark.parametrize("rule", stabilise.RULES, ids=lambda rule: rule.equation)
def test_a_rule_saves_what_it_says(rule: stabilise.Rule) -> None:
    """Before, the input overflows or loses all of its digits; after, value and gradient are right."""
    found = re.search(r"x = (\S+)", rule.saves)
    assert found is not None
    x = float(found[1])
    before = LEFT[rule.equation]
    of = stabilise.stabilise(Objective("main", (X,), (ir.Term("t", ONE, ops.mean(before, before.axes)),)))
    after = of.terms[0].value
    good = at(after, x)
    assert np.isfinite(good)
    assert np.all(np.isfinite(at(gradients(after, [X])[0], x)))
    lost = at(before, x)
    assert not np.isfinite(lost) or (good != 0 and abs(lost - good) > 0.5 * abs(good))


LINES: dict[str, Node] = {
    "a*(b*x) = (a*b)*x, and the same for sums": apply("mul", const(3.0), apply("mul", const(0.5), X)),
    "a*-x = -a*x": apply("mul", const(3.0), apply("neg", X)),
    "x/a = (1/a)*x where a is a power of two: that is exact": apply("div", X, const(4)),
    "(x/a)/b = x/(a*b)": apply("div", apply("div", X, const(3.0)), ops.size(ROWS)),
    "sum[c](r*x) = r*sum[c](x)": reduce("sum", apply("mul", R, X), [COLS]),
    "sum[c](x/r) = sum[c](x)/r": reduce("sum", apply("div", X, R), [COLS]),
    "sum[c](-x) = -sum[c](x)": reduce("sum", apply("neg", X), [COLS], M),
    "sum[c](x + r) = sum[c](x) + size(c)*r": reduce("sum", apply("sub", X, R), [COLS]),
    "logsumexp[c](x + r) = logsumexp[c](x) + r": reduce("logsumexp", apply("add", X, R), [COLS]),
}


@pytest.mark.parametrize("rule", simplify.RULES, ids=lambda rule: rule.equation)
def test_a_simplification_holds(rule: simplify.Rule) -> None:
    before = LINES[rule.equation]
    after = rule.rewrite(before)
    assert after is not None
    rng = np.random.default_rng(0)
    state = {"x": rng.normal(size=(3, 4)), "r": rng.normal(size=3), "m": rng.random((3, 4)) < 0.5}
    first, second = Oracle(state).evaluate([before, after])
    assert np.allclose(first, second, rtol=1e-12)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 0.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda: reduce("sum", apply("mul", R, X), [COLS], M),
        lambda: reduce("sum", apply("div", X, R), [COLS], M),
        lambda: reduce("sum", apply("sub", X, R), [COLS], M),
        lambda: reduce("logsumexp", apply("sub", X, R), [COLS], M),
        lambda: reduce("logsumexp", apply("add", R, X), [COLS], M),
        lambda: ops.mean(apply("sub", X, reduce("logsumexp", X, [COLS], M)), [COLS], M),
    ],
)
def test_a_row_value_that_is_not_finite_stays_where_the_set_is_empty(make: Any, bad: float) -> None:
    before = make()
    after = simplify.simplify(Objective("main", (X, R, M), (ir.Term("t", ONE, before),))).terms[0].value
    state = {"x": np.ones((2, 3)), "r": np.array([bad, 1.0]), "m": np.array([[False] * 3, [True] * 3])}
    first, second = Oracle(state).evaluate([before, after])
    assert np.array_equal(first, second, equal_nan=True)
    assert not np.isnan(first[0])


def test_simplify_keeps_a_real_sum_of_conditions_real() -> None:
    hot = apply("real", M)
    total = reduce("sum", apply("mul", ops.iota(ROWS), hot), [COLS])
    after = simplify.simplify(Objective("main", (M,), (ir.Term("t", ONE, total),))).terms[0].value
    assert after.dtype == total.dtype == "real"


# ------------------------------------------------------------------------------------------ balance and share
def test_weights_are_the_derivatives_of_the_total() -> None:
    of = pipeline.run(objective("l1 + 0.5*mse | uncertainty"), "balance")
    assert of.total is not None
    values = [leaf(f"v{k}", REAL) for k in range(2)]
    places = {term.value: value for term, value in zip(of.terms, values, strict=True)}
    total = substitute([of.total], places.get)[of.total]
    state = {"v0": 0.7, "v1": 1.3}
    wanted = Oracle(state).evaluate(gradients(total, values))
    found = Oracle(state).evaluate([substitute([weight], places.get)[weight] for weight in of.weights])
    assert np.allclose(found, wanted)


@pytest.mark.parametrize(
    ("text", "monoid", "count"),
    [
        ("clip(z1, z2) + infonce(z1, z2, tau=0.1)", "logsumexp", 3),
        ("ce + focal + poly1 + squentropy", "logsumexp", 1),
        ("infonce(z1, z2) + infonce(z1, z2, tau=0.1) as other", "logsumexp", 1),
        ("nt_xent", "logsumexp", 1),
    ],
)
def test_terms_share_their_reductions(text: str, monoid: str, count: int) -> None:
    of = pipeline.run(objective(text), "share")
    found = [n for n in ir.topological(of.roots()) if isinstance(n, ir.Reduce) and n.monoid == monoid]
    assert len(found) == count


def test_rows_are_normalised_once() -> None:
    """The other view of a batch is the same matrix under another index."""
    of = pipeline.run(objective("clip(z1, z1) + uniform(z1) + triplet(z1, y)"))
    roots = [n for n in ir.topological(of.roots()) if ops.is_op(n, "sqrt")]
    assert len(roots) == 2  # one for the rows, one for their distances
