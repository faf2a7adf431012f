"""The checker of laws can fail: for each property a loss that lacks it is caught."""

from __future__ import annotations

import pytest

from losslang.diagnostics import LosslangError
from losslang.sema.modules import environment
from losslang.source import Source
from losslang.syntax import parser
from losslang.testing.laws import KNOWN, PROPERTIES, LawBroken, Report, check, laws_of, run


def report(text: str, examples: int = 100) -> Report:
    return run(None, environment(parser.parse_module(Source("mine.loss", text))), examples)


def problem(decorator: str, definition: str) -> str:
    """What the checker says of a definition with a decorator that does not hold."""
    (verdict,) = report(f"{decorator}\n{definition}\n").verdicts
    assert verdict.problem is not None, f"{decorator} holds"
    return verdict.problem


def definition(body: str, signature: str = "pred, target: real[b, ...]", rows: str = "[b, ...]") -> str:
    return f"loss mine({signature}) -> {rows}:\n    {body}"


LOGITS = "logits: logit[b, c], labels: label[b] < c"
PAIRS = "z1, z2: embed[i, d]"

WRONG = {
    "nonneg": ("@nonneg", definition("pred - target")),
    "nonneg NaN": ("@nonneg", definition("sqrt(pred - target)")),
    "bounded": ("@bounded(0, 1)", definition("abs(pred - target)")),
    "bounded by a parameter": (
        "@bounded(0, margin)",
        definition("2*margin*sigmoid(pred)", "pred: real[b], margin: real > 0 = 1", "[b]"),
    ),
    "symmetric": ("@symmetric(pred, target)", definition("pred^2 - pred*target")),
    "zero_if": ("@zero_if(pred == target)", definition("abs(pred - target) + 0.001*target^2")),
    "convex": ("@convex(pred)", definition("sqrt(abs(pred - target))")),
    "lipschitz": ("@lipschitz(pred, 1)", definition("(pred - target)^2")),
    "lipschitz per row": ("@lipschitz(x, 1)", definition("sum[d](x)", "x: real[i, d]", "[i]")),
    "lipschitz of a parameter": (
        "@lipschitz(pred, delta/2)",
        definition("delta*abs(pred)", "pred: real[b], delta: real > 0 = 1", "[b]"),
    ),
    "monotone": ("@monotone(decreasing, pred)", definition("abs(pred - target)")),
    "monotone up": ("@monotone(increasing, pred)", definition("relu(target - pred)")),
    "invariant shift": ("@invariant(shift, pred, target)", definition("abs(pred - 2*target)")),
    "invariant shift of rows": (
        "@invariant(shift[c], logits)",
        definition("-softmax[c](logits)[labels] + mean[c](logits)", LOGITS, "[b]"),
    ),
    "invariant scale": ("@invariant(scale[d], z1)", definition("-dot(z1[i], z2[i])", PAIRS, "[i]")),
    "invariant permute": ("@invariant(permute[i], z1)", definition("-cosine(z1[i], z2[i])", PAIRS, "[i]")),
    "invariant permute of labels": (
        "@invariant(permute[c], logits)",
        definition("-log_softmax[c](logits)[labels]", LOGITS, "[b]"),
    ),
    "invariant flip": ("@invariant(flip[w], x)", definition("x[b, 0]", "x: image[b, w] in 0..1", "[b]")),
    "invariant rotate": ("@invariant(rotate[d], z1, z2)", definition("sum[d](abs(z1 - z2))", PAIRS, "[i]")),
    "equals": (
        "@equals(l1(pred, target), when=power == 1)",
        definition("abs(pred - target)^(power + 1)", "pred, target: real[b, ...], power: real >= 0 = 2"),
    ),
    "finite": ("@finite", definition("log(exp(pred) + exp(target))")),
    "example": ("@example(mine(pred=[1.0, 2.0], target=[0.0, 0.0]), 1.25)", definition("abs(pred - target)")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_claim_is_caught(name: str) -> None:
    decorator, text = WRONG[name]
    message = problem(decorator, text)
    assert message.startswith(f"mine: {decorator} does not hold")
    assert "expected:" in message and "found:" in message


def test_every_property_can_fail() -> None:
    tried = {decorator.removeprefix("@").partition("(")[0] for decorator, _ in WRONG.values()}
    assert tried == KNOWN == {*PROPERTIES, "example"}


RIGHT = {
    "a filter leaves rows out": (
        "@bounded(1, 2)",
        definition("1 + sigmoid(pred)", "pred: real[b]", "[b if pred > 0]"),
    ),
    "when narrows a parameter": (
        "@nonneg(when=margin >= 0 and sign == 1)",
        definition("sign*margin + 0*pred", "pred: real[b], margin: real = 1, sign: real = 1", "[b]"),
    ),
    "a choice is pinned": (
        "@nonneg(when=sign == plus)",
        definition("1 + 0*pred if sign == plus else -1 + 0*pred", "pred: real[b], sign: plus | minus = plus", "[b]"),
    ),
    "labels become one-hot in another call": (
        "@equals(cross_entropy(logits, labels))",
        definition("-log_softmax[c](logits)[labels]", LOGITS, "[b]"),
    ),
    "labels are renumbered with their classes": (
        "@invariant(permute[c], logits, labels)",
        definition("-log_softmax[c](logits)[labels]", LOGITS, "[b]"),
    ),
    "an input may be called like a loss": ("@convex(l1)", definition("abs(l1)", "l1: real[b]", "[b]")),
    "a function is tested by its elements": ("@bounded(-1, 1)", "fn mine(x: real[d]) -> [d]:\n    tanh(x)"),
    "an example of a function": (
        "@example(mine([1, -2]), [1, 2])",
        "fn mine(x: real[d]) -> [d]:\n    abs(x)",
    ),
    "an example inside an expression": (
        "@example(1 - 2*mine(x=full(0.5, 2, 3)), 0)",
        "fn mine(x: real[i, d]):\n    mean[i, d](x)",
    ),
    "an alias": ("@zero_if(pred == target)  @lipschitz(pred, 2)", "mine = 2*l1"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_claim_holds(name: str) -> None:
    decorator, text = RIGHT[name]
    result = report(f"{decorator}\n{text}\n")
    assert result.passed, str(result)


def test_the_counterexample_is_a_call_with_small_arrays() -> None:
    assert problem("@nonneg", definition("pred - target")) == (
        "mine: @nonneg does not hold\n"
        "  at:       mine(pred=[0.0], target=[0.1])\n"
        "  found:    gives -0.1\n"
        "  expected: at least 0"
    )


def test_parameters_that_are_not_at_their_default_are_shown() -> None:
    signature = "pred: real[b], margin: real >= 0 = 1, kind: soft | hard = soft"
    message = problem("@nonneg", definition("1 - margin + 0*pred", signature, "[b]"))
    assert "at:       mine(pred=[0.0], margin=1.25)" in message


def test_a_large_array_is_shown_by_what_is_unusual_in_it() -> None:
    message = problem(
        "@bounded(0, 0)", definition("max[h, w](x) - min[h, w](x)", "x: image[b, h=9, w=9] in 0..1", "[b]")
    )
    assert "at:       mine(x=full(0.125, 1, 9, 9) where [0, 0, 0] is 0.0)" in message


def test_an_example_says_what_it_found() -> None:
    assert problem(*WRONG["example"]).endswith("found:    1.5\n  expected: 1.25")


def test_the_same_tries_on_every_run() -> None:
    decorator, text = WRONG["convex"]
    assert problem(decorator, text) == problem(decorator, text)


def test_check_raises() -> None:
    module = parser.parse_module(Source("mine.loss", "@nonneg\n" + definition("pred - target") + "\n"))
    mine = environment(module)
    (law,) = laws_of(mine.own["mine"], mine)
    with pytest.raises(LawBroken, match="at least 0") as caught:
        check(law)
    assert caught.value.law is law


def test_run_reports_what_does_not_compile() -> None:
    result = report("@nonneg\n" + definition("abs(pred - targt)") + "\n")
    assert not result.passed
    assert "LL0203" in str(result) and "0 of 1 claims" in str(result)


def test_a_call_in_a_decorator_takes_the_definitions_own_inputs() -> None:
    result = report("@equals(l1(pred, other))\n" + definition("abs(pred - target)") + "\n")
    assert "LL0202" in str(result) and "mine has no input 'other'" in str(result)


MALFORMED = {
    "@nonegative": ("LL0203", "did you mean 'nonneg'?"),
    "@proper": ("LL0203", "one of bounded, convex"),
    "@bounded(0)": ("LL0207", "@bounded(0, 1)"),
    "@nonneg(pred)": ("LL0208", "@nonneg"),
    "@convex(prd)": ("LL0202", "did you mean 'pred'?"),
    "@convex(margin)": ("LL0202", "one of pred, target"),
    "@symmetric(pred, 2)": ("LL0202", "one of pred, target"),
    "@zero_if(pred)": ("LL0307", "pred == target"),
    "@zero_if(pred == nothing)": ("LL0202", "one of pred, target"),
    "@monotone(pred, pred)": ("LL0307", "increasing or decreasing"),
    "@invariant(rotat[d], pred)": ("LL0307", "did you mean 'rotate'?"),
    "@invariant(permute, pred)": ("LL0307", "permute[axis]"),
    "@invariant(shift[d], pred)": ("LL0204", "one of b, ..."),
    "@nonneg(if=margin == 0)": ("LL0101", ""),
    "@nonneg(where=margin == 0)": ("LL0202", "@nonneg"),
    "@nonneg(when=margin)": ("LL0307", "when=gamma == 0"),
    "@nonneg(when=mrgin == 0)": ("LL0307", "when=gamma == 0"),
    "@example(mine(pred=[1.0], target=[1.0]), 0, when=margin == 0)": ("LL0202", "@example"),
}


@pytest.mark.parametrize("decorator", MALFORMED)
def test_a_malformed_decorator_is_an_error(decorator: str) -> None:
    code, words = MALFORMED[decorator]
    text = definition("abs(pred - target)", "pred, target: real[b, ...], margin: real = 1")
    with pytest.raises(LosslangError) as caught:
        report(f"{decorator}\n{text}\n")
    assert caught.value.diagnostics[0].code == code
    assert words in str(caught.value)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(LosslangError, match="did you mean 'focal'"):
        run(["focl"])
