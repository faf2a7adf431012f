"""What means the same everywhere: each sentence of section 4 of docs/language.md, in value and in gradient.

Each text is run three ways, which must agree: by the oracle as written, by the oracle after the passes, and compiled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import losslang
from losslang import LosslangError
from losslang.ir import nodes as ir
from losslang.passes import pipeline
from tests.passes.programs import as_total, differentiable, objective, of_module, value_and_gradients

INF, NAN = math.inf, math.nan
Array = NDArray[Any]


def means(text: str, **inputs: Any) -> tuple[Array, dict[str, Array]]:
    """The value of a text and its gradient at every real input; all ways to evaluate it agree.

    It is the pass ``guard`` that keeps what is not finite in the inputs out of the gradients, so then the text as
    written is no reference.
    """
    given = {name: np.asarray(x, float if np.asarray(x).dtype.kind == "f" else None) for name, x in inputs.items()}
    of = objective(text)
    planned = pipeline.run(of)
    assert planned.total is not None
    names = [node.name for node in differentiable(of)]
    finite = all(np.all(np.isfinite(x)) for x in given.values())
    result, *ways = [
        value_and_gradients(planned.total, of, given),
        of_module(losslang.compile(text, backend="eager", allow=MEANT), of, given),
        *([value_and_gradients(as_total(of), of, given)] if finite else []),
    ]
    for found in ways:
        for a, b in zip(found, result, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    return result[0], dict(zip(names, result[1:], strict=True))


MEANT = ("LL0802", "LL0813")
"""A count has no gradient, a mask may exclude all."""


def file(header: str, *lines: str, result: str = "") -> str:
    """An objective of one loss with a body of these lines."""
    body = "\n".join(f"    {line}" for line in lines)
    names = ", ".join(part.split(":")[0] for part in header.split("; "))
    return (
        f"loss f({header.replace(';', ',')}){result}:\n{body}\nobjective main({header.replace(';', ',')}): f({names})\n"
    )


X = [[1.0, 2.0], [3.0, 4.0]]
NOBODY = [[False, False], [False, False]]


# ------------------------------------------------------------------------------------------ nothing
@pytest.mark.parametrize(
    ("reduction", "value"),
    [
        ("sum[j if m](x)", 0.0),
        ("mean[j if m](x)", 0.0),
        ("count[j](m)", 0.0),
        ("prod[j if m](x)", 1.0),
        ("max[j if m](x)", -INF),
        ("logsumexp[j if m](x)", -INF),
        ("min[j if m](x)", INF),
        ("1 if any[j](m) else 0", 0.0),
        ("1 if all[j if m](x > 99) else 0", 1.0),
        ("std[j if m](x)", 0.0),
        ("var[j if m](x)", 0.0),
        ("norm[j if m](x)", 0.0),
    ],
)
def test_over_nothing(reduction: str, value: float) -> None:
    found, grads = means(file("x: real[i, j]; m: bool[i, j]", reduction), x=X, m=NOBODY)
    assert found == value
    assert np.array_equal(grads["x"], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("reduction", "value"), [("sum", 0.0), ("mean", 0.0), ("max", -INF), ("min", INF), ("prod", 1.0)]
)
def test_over_an_axis_of_no_length(reduction: str, value: float) -> None:
    found, _ = means(file("x: real[i, j]", f"{reduction}[j](x)"), x=np.zeros((2, 0)))
    assert found == value


def test_a_batch_of_nothing_costs_nothing() -> None:
    found, grads = means("l1", pred=np.zeros((0, 3)), target=np.zeros((0, 3)))
    assert found == 0
    assert grads["pred"].shape == (0, 3)


# ------------------------------------------------------------------------------------------ what is excluded
BAD = [[1.0, NAN], [INF, 4.0]]
GOOD = [[True, False], [False, True]]


@pytest.mark.parametrize(
    "lines",
    [
        ("mean[i, j if m](x^2)",),
        ("y[i, j if m] = x^2", "mean[i, j](y)"),
        ("y[i, j if m] = exp(x)*x^2/exp(x)", "mean[i, j](y)"),
        ("sum[i, j](x^2 if m else 0)/count[i, j](m)",),
    ],
)
def test_what_is_excluded_is_not_there(lines: tuple[str, ...]) -> None:
    """No value, no gradient, no NaN."""
    found, grads = means(file("x: real[i, j]; m: bool[i, j]", *lines), x=BAD, m=GOOD)
    assert found == pytest.approx(8.5)
    np.testing.assert_allclose(grads["x"], [[1.0, 0.0], [0.0, 4.0]])


def test_a_mask_excludes_what_is_not_finite() -> None:
    found, grads = means("mse(mask=m)", pred=BAD, target=[[0.0, NAN], [INF, NAN]], m=[[True, False], [False, False]])
    assert found == 1
    np.testing.assert_allclose(grads["pred"], [[2.0, 0.0], [0.0, 0.0]])


def test_an_ignored_label_excludes_its_row() -> None:
    logits = [[2.0, 0.0], [NAN, NAN]]
    found, grads = means("ce(ignore=-100)", logits=logits, labels=[0, -100])
    assert found == pytest.approx(math.log(1 + math.exp(-2)))
    assert np.array_equal(grads["logits"][1], [0, 0])


def test_the_branch_not_taken_is_not_there() -> None:
    text = file("x: real[i]", "sqrt(x) if x > 0 else 1/x")
    found, grads = means(text, x=[4.0, -0.5])
    assert found == 0
    np.testing.assert_allclose(grads["x"], [0.125, -2.0])


def test_an_index_that_leads_outside_reads_nothing() -> None:
    """The last place has no next one: it is absent, from the value and from the mean."""
    found, grads = means(file("x: real[t]", "mean[t](x[t + 1] - x)"), x=[1.0, 2.0, 5.0])
    assert found == 2
    np.testing.assert_allclose(grads["x"], [-0.5, 0.0, 0.5])


@pytest.mark.parametrize("filtered", ["a[i, j if m] = 1/x", "a[i, j if x != 0] = 1/x"])
def test_a_filter_belongs_to_the_value(filtered: str) -> None:
    """Every later reduction skips what the value's filter leaves out."""
    lines = (filtered, "b = 2*a + 1", "mean[i, j](b)")
    found, grads = means(file("x: real[i, j]; m: bool[i, j]", *lines), x=[[1.0, 0.0], [0.0, 2.0]], m=GOOD)
    assert found == pytest.approx(2.5)
    np.testing.assert_allclose(grads["x"], [[-1.0, 0.0], [0.0, -0.25]])


def test_a_derivative_keeps_the_choice_around_the_product() -> None:
    """The factor beside an excluded NaN stays inside the choice: 0*NaN would be NaN."""
    text = file("x: real[i]; m: bool[i]", "y = exp(x) if m else 0", "y*y*x if m else 0")
    found, grads = means(text, x=[0.0, NAN], m=[True, False])
    assert found == 0
    np.testing.assert_allclose(grads["x"], [0.5, 0.0])


# ------------------------------------------------------------------------------------------ static conditions
CHOICE = """
loss f(x: real[i], p: real = 2, way: root | power = power, w: real[i]? = none) -> [i]:
    1/(p - 2) + x if p != 2 else (sqrt(x) if way == root else x^p)*(1 if w == none else w)
"""


@pytest.mark.parametrize(
    ("call", "value"),
    [("f(x)", 16.0), ("f(x, p=3)", 5.0), ("f(x, way=root)", 2.0), ("f(x, w=x)", 64.0)],
)
def test_only_the_branch_that_is_taken_exists(call: str, value: float) -> None:
    text = f"{CHOICE}\nobjective main(x: real[i]): {call}\n"
    assert means(text, x=[4.0])[0] == pytest.approx(value)
    of = objective(text)
    assert not any(isinstance(node, ir.Op) and node.name == "where" for node in ir.topological(of.roots()))


def test_a_condition_on_the_number_of_axes_is_static() -> None:
    text = "loss f(x: real[b, ...]) -> [b]:\n    sum[...](x)\nobjective main(x: real[b, ...]): f(x)\n"
    assert means(text, x=[1.0, 3.0])[0] == 2
    assert means(text, x=[[1.0, 1.0], [3.0, 3.0]])[0] == 4


# ------------------------------------------------------------------------------------------ ties
@pytest.mark.parametrize("reduction", ["max", "min"])
def test_ties_share_evenly(reduction: str) -> None:
    found, grads = means(file("x: real[j]", f"{reduction}[j](x)"), x=[1.0, 1.0, 1.0, 1.0])
    assert found == 1
    assert np.array_equal(grads["x"], [0.25] * 4)


@pytest.mark.parametrize("name", ["max", "min"])
def test_two_equal_arguments_share_evenly(name: str) -> None:
    _, grads = means(file("x: real[i]; y: real[i]", f"{name}(x, y)"), x=[1.0], y=[1.0])
    assert grads["x"] == grads["y"] == 0.5


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("argmax[j](x)", 1.0),
        ("argmin[j](x)", 0.0),
        ("sum[j](j*rank[j](x))", 0 * 0 + 1 * 2 + 2 * 3 + 3 * 1),
        ("sum[j](j*assignment[j, k](x + 0*y))", 0 + 1 + 4 + 9),
    ],
)
def test_of_equals_the_first_is_taken(line: str, value: float) -> None:
    header = "x: real[j]; y: real[k]" if "k" in line else "x: real[j]"
    given = {"y": [0.0] * 4} if "y" in header else {}
    assert means(file(header, f"1.0*{line}"), x=[0.0, 2.0, 2.0, 0.0], **given)[0] == value


# ------------------------------------------------------------------------------------------ singular points
@pytest.mark.parametrize(
    "line", ["norm[j](x)", "sum[j](sqrt(x))", "sum[j](x^0.5)", "sum[j](abs(x)^1.5)", "sum[j](abs(x))", "norm[j](x)^3"]
)
def test_the_gradient_at_a_singular_point_is_zero(line: str) -> None:
    found, grads = means(file("x: real[j]", line), x=[0.0, 0.0])
    assert found == 0
    assert np.array_equal(grads["x"], [0.0, 0.0])


def test_the_gradient_of_a_product_is_exact_at_zeros() -> None:
    _, grads = means(file("x: real[i, j]", "prod[j](x)"), x=[[2.0, 0.0, 3.0], [0.0, 0.0, 3.0]])
    np.testing.assert_array_equal(grads["x"], [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])


def test_a_second_gradient_at_a_singular_point_is_finite() -> None:
    found, grads = means(file("x: real[b, d]", "norm[d](grad[x](sum[b](norm[d](x))))"), x=[[0.0, 0.0], [3.0, 4.0]])
    assert found == pytest.approx(0.5)
    np.testing.assert_allclose(grads["x"], np.zeros((2, 2)), atol=1e-12)


# ------------------------------------------------------------------------------------------ data, deviations
@pytest.mark.parametrize("label", [3, -1, -100])
def test_a_label_out_of_range_is_an_error(label: int) -> None:
    module = losslang.compile("ce", backend="eager")
    with pytest.raises(LosslangError) as caught:
        module(logits=torch.zeros(2, 3), labels=torch.tensor([0, label]))
    assert "labels" in str(caught.value)


def test_an_index_of_data_out_of_range_is_an_error() -> None:
    text = file("x: real[n]; at: int[i] < n", "x[at]")
    assert means(text, x=[0.0, 1.0, 2.0], at=[0, 2])[0] == 1
    module = losslang.compile(text, backend="eager")
    with pytest.raises(LosslangError) as caught:
        module(x=torch.arange(3.0), at=torch.tensor([0, 3]))
    assert "at" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("std", 2.0), ("sample_std", 16 / 3), ("var", 4.0), ("sample_var", 16 / 3)]
)
def test_deviations_say_what_they_divide_by(name: str, value: float) -> None:
    value = math.sqrt(value) if name == "sample_std" else value
    found, _ = means(file("x: real[j]", f"{name}[j](x)"), x=[1.0, 1.0, 5.0, 5.0])
    assert found == pytest.approx(value)


@pytest.mark.parametrize("name", ["std", "sample_std", "var", "sample_var"])
def test_of_one_number_there_is_no_deviation(name: str) -> None:
    found, grads = means(file("x: real[j]", f"{name}[j](x)"), x=[3.0])
    assert found == 0
    assert grads["x"] == 0


# ------------------------------------------------------------------------------------------ modifiers
PRED, TARGET = [[1.0, 2.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("mse", 39 / 4),
        ("mse(reduce=mean)", 39 / 4),
        ("mse(reduce=sum)", 39.0),
        ("mse(reduce=none)", [[1.0, 4.0], [9.0, 25.0]]),
        ("mse(mask=pred < 4)", 14 / 3),
        ("mse(mask=pred < 4, reduce=sum)", 14.0),
        ("mse(weight=pred)", (1 + 8 + 27 + 125) / 4),
        ("mse(weight=pred, mask=pred < 4, reduce=sum)", 36.0),
        ("mse(weight=pred, reduce=none)", [[1.0, 8.0], [27.0, 125.0]]),
    ],
)
def test_modifiers(call: str, value: Any) -> None:
    found, _ = means(call, pred=PRED, target=TARGET)
    np.testing.assert_allclose(found, value)


def test_a_mask_is_a_filter_on_every_reduction_over_its_axes() -> None:
    """Not a factor at the end: the soft dice of what is left, as if the rest had been cut off."""
    prob, target = np.array([[0.2, 0.9, 0.4]]), np.array([[0.0, 1.0, 1.0]])
    text = "dice(prob, target, mask=m)"
    header = "objective main(prob: prob[b, c, ...], target: prob[b, c, ...], m: bool[b, c, ...]): "
    keep = np.array([True, True, False])
    cut, _ = means("dice(prob, target)", prob=prob[None, :, :2], target=target[None, :, :2])
    found, grads = means(header + text, prob=prob[None], target=target[None], m=keep[None, None])
    assert found == pytest.approx(float(cut))
    assert grads["prob"][0, 0, 2] == 0


@pytest.mark.parametrize("call", ["bands(mask=pred > 0)", "ssim_loss(mask=pred > 0)"])
def test_a_mask_over_a_window_or_a_spectrum_is_an_error(call: str) -> None:
    text = (
        "loss bands(pred, target: wave[b, t]) -> [b]:\n    mean[t](abs(fft[t](pred) - fft[t](target)))\n"
        f"objective main: {call}\n"
    )
    with pytest.raises(LosslangError) as caught:
        losslang.compile(text)
    assert [one.code for one in caught.value.diagnostics] == ["LL0304"]


def test_a_term_has_the_name_that_it_is_given() -> None:
    assert [term.name for term in objective("mse as first + 2*mse").terms] == ["first", "mse"]
    text = "objective main(a, b: real[i]):\n    second = mse(a, b)\n    second + l1(a, b)\n"
    assert [term.name for term in objective(text).terms] == ["second", "l1"]


def test_a_learned_number_at_its_singular_point_has_no_gradient_from_the_branch_not_taken() -> None:
    text = "loss f(x: real[b], s: real) -> [b]:\n    x*(1/s if s > 0 else 2)\nobjective main: f(s=auto(0))\n"
    objective = losslang.compile(text, backend="eager")
    x = torch.ones(3, requires_grad=True)
    objective(x=x).total.backward()
    assert x.grad is not None and x.grad.tolist() == pytest.approx([2 / 3] * 3)
    assert all(p.grad is not None and float(p.grad) == 0 for p in objective.parameters())
