"""Several mistakes of a text are told in one run, and none that only follows from another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losslang import compiler
from losslang.diagnostics import Diagnostic
from losslang.source import Source


def found(text: str) -> list[Diagnostic]:
    return [one for one in compiler.diagnose(Source("t.loss", text)) if one.severity == "error"]


def places(text: str) -> list[tuple[str, str]]:
    """Code and culprit of every diagnostic."""
    return [(one.code, one.span.text if one.span else "") for one in found(text)]


def lines(text: str) -> list[int]:
    return [one.span.source.position(one.span.start)[0] for one in found(text) if one.span]


# ------------------------------------------------------------------------------------------ expressions
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("l1 + 2 mse + focal(gamma 2) - x**2*huber", [("LL0101", "mse"), ("LL0101", "2"), ("LL0101", "**")]),
        ("l1 l2 + focal(gama=2)", [("LL0101", "l2"), ("LL0202", "gama=2")]),
        ("focl + mse(gama=2) + infonce(tau=0) | uncertanty",
         [("LL0201", "focl"), ("LL0202", "gama=2"), ("LL0305", "0"), ("LL0206", "uncertanty")]),
        ("focl + l1 + msee", [("LL0201", "focl"), ("LL0201", "msee")]),
        ("0.5*focl(gamma=2) + l1", [("LL0201", "focl")]),
        ("l1 as a + mse as a + huber as a", [("LL0205", "mse as a"), ("LL0205", "huber as a")]),
        ("ce(softmax[c](logits)) + focal(softmax[c](logits)) + l1(reduce=x)",
         [("LL0301", "softmax[c](logits)"), ("LL0301", "softmax[c](logits)"), ("LL0308", "x")]),
    ],
)  # fmt: skip
def test_every_term_has_its_say(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(code, culprit[:20]) for code, culprit in places(text)] == [(c, w[:20]) for c, w in wanted]


@pytest.mark.parametrize(
    "text",
    [
        "l1(pred, (x y)) if a b else c",  # the words of a conditional hang together
        "l1 + f(a, (b + c d",  # a bracket that is not closed hides where the terms are
        "l1 + mse) + huber huber",
        "x y",
        "1.5.2 + 3",
    ],
)
def test_what_cannot_be_taken_apart_is_one_error(text: str) -> None:
    assert len(found(text)) == 1


def test_constants_beside_losses_are_no_errors() -> None:
    assert found("1 - ssim + exp(2) + max(1, 2)*l1 + 2 - ssim") == []


# ------------------------------------------------------------------------------------------ files
FILE = """\
loss f(x: real[b], y real[b]) -> [b]:
    a = x y
    # a note
    c = a if b = c else d
    a + b c

objective o(x: real[b]):
    p = l1(x, y) z
    q = l1(x,
         y z)
    p + q r

loose line

fn g(x): x + 1 1

fn h(x: real[b]): sum[q](x)

objective second: huber(delta=-1) + g
"""


def test_every_line_of_a_file_has_its_say() -> None:
    assert lines(FILE) == [1, 2, 4, 5, 8, 10, 11, 13, 15, 17]


def test_what_needs_a_broken_definition_is_not_checked() -> None:
    text = "fn f(x): x x\n\nloss g(x: real[b]) -> [b]: f(x)\n\nobjective o(): g + nonsense\n\nobjective p(): l3\n"
    assert places(text) == [("LL0101", "x"), ("LL0201", "l3")]
    text = "fn f(x): f(x)\n\nloss g(x: real[b]) -> [b]: f(x)\n\nobjective o(): g\n\nobjective p(): l3\n"
    assert places(text) == [("LL0210", "fn f(x): f(x)"), ("LL0201", "l3")]


def test_a_binding_with_an_error_is_told_once() -> None:
    text = (
        "loss f(x: real[b, d]) -> [b]:\n    a = sum[q](x)\n    b = nothing + 1\n    c = a*b\n"
        "    e = sum[d](x) + other\n    c + e\n\nobjective o(): f + 2*f(y)\n"
    )
    assert places(text) == [("LL0204", "q"), ("LL0203", "nothing"), ("LL0203", "other")]


def test_an_index_variable_of_a_broken_binding_is_told_once() -> None:
    text = (
        "loss f(x: real[i, d]) -> [i]:\n    a[i, p] = dot(x[i], x[p], 3)\n    b[i, p] = a[i, p] + 1\n"
        "    mean[p](b) + max[p](b)\n\nobjective o(): f\n"
    )
    assert places(text) == [("LL0208", "3")]


def test_the_bindings_of_an_objective() -> None:
    text = (
        "objective o(x: real[b]):\n    y = l1(x, z, gamma=2)\n    w = foo(2)\n    v = exp(x) + nonsense(x)\n"
        "    y + w*l1 + l1(v, x)\n"
    )
    assert places(text) == [("LL0202", "gamma=2"), ("LL0201", "foo"), ("LL0201", "nonsense")]


def test_a_name_that_is_an_axis_too_needs_itself_not() -> None:
    assert found("loss f(x: real[b, d]) -> [b]:\n    d = sum[d](x)\n    d\n\nobjective o(): f\n") == []


# ------------------------------------------------------------------------------------------ any of them
SOUND = ("l1(p, q)", "0.5*mse(p, q)", "focal(gamma=2)", "infonce(z1, z2, tau=auto) as pull", "(1 - ssim(u, v))")
WRONG = (
    "l1(p q)",
    "l1(p, q,,)",
    "focal(gama=1)",
    "huber(delta=-1)",
    "focl(gamma=2)",
    "2 mse",
    "mse(reduce=men)",
    "tv(order=l3)",
    "nt_xent(1, 2, 3, 4, 5)",
    "charbonnier(eps=0)",
    "mse(p && q)",
)
MIXED = st.lists(st.one_of(st.sampled_from(SOUND[:3]), st.sampled_from(WRONG)), min_size=1, max_size=12)


def offenders(terms: list[str]) -> list[int]:
    return [place for place, term in enumerate(terms) if term in WRONG]


@given(MIXED)
def test_as_many_messages_as_mistakes_in_an_expression(terms: list[str]) -> None:
    text = "\n+ ".join(terms)
    assert [line - 1 for line in lines(text)] == offenders(terms)


@given(MIXED)
def test_as_many_messages_as_mistakes_in_a_file(terms: list[str]) -> None:
    text = "".join(f"objective o{place}(): {term}\n\n" for place, term in enumerate(terms))
    assert [(line - 1) // 2 for line in lines(text)] == offenders(terms)


def test_a_definition_over_lists_alone_is_read_with_lists_of_some_length() -> None:
    text = "loss fm(fake, real: real[l][b, ...]) -> [b]:\n    sum[l](mean[...](abs(fake - real)))\n"
    assert found(text) == []
    assert [problem.code for problem in found(text.replace("mean[...]", "mean[q]"))] == ["LL0204"]
