"""Indices, filters and numbers in the place of tensors: compiled values against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

import losslang
from losslang.diagnostics import LosslangError

DOUBLE = torch.float64


def total(text: str, **batch: torch.Tensor) -> float:
    """The total of an objective, compiled without inductor."""
    return float(losslang.compile(text, backend="eager")(batch).total)


SHIFTED = """
objective main(x: real[b, t, v], y: int[b, t] < v):
    z[b, t] = x[y[b, t + 1]]
    mean[b, t](l1(z, 0))
"""


def test_a_pick_is_defined_only_where_its_position_is() -> None:
    x = torch.tensor([[[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]])
    assert total(SHIFTED, x=x, y=torch.tensor([[0, 1, 0]])) == (2 + 10) / 2


FILTERED = """
objective main(x: real[b, t], y: int[b, t]):
    z[b, t if y[b, t + 1] > 0] = x
    sum[b, t](l1(z, 0))
"""


def test_a_condition_that_is_not_defined_does_not_hold() -> None:
    assert total(FILTERED, x=torch.tensor([[1.0, 10.0, 100.0]]), y=torch.tensor([[0, 3, 1]])) == 11


def test_the_same_in_the_filter_of_a_reduction() -> None:
    text = "objective main(x: real[b, t], y: int[b, t]):\n    l1(sum[t if y[b, t + 1] > 0](x), 0)\n"
    assert total(text, x=torch.tensor([[1.0, 10.0, 100.0]]), y=torch.tensor([[0, 3, 1]])) == 11


def test_labels_that_a_shift_compares_are_ignored() -> None:
    text = "objective main(x: logit[b, t, v], y: label[b, t] < v):\n    -seq_logp(x, y[b, t + 1])\n"
    assert total(text, x=torch.zeros(1, 3, 2), y=torch.tensor([[0, -100, 1]])) == pytest.approx(math.log(2))


def test_one_label_stands_for_all() -> None:
    x = torch.tensor([[0.0, 0.0, math.log(2)]])
    assert total("ce(x, labels=2)", x=x) == pytest.approx(math.log(2))
    assert total("ce(labels=0, logits=x)", x=x) == pytest.approx(math.log(4))


def test_a_label_beyond_its_axis_is_an_error() -> None:
    with pytest.raises(LosslangError, match="no place 3 on axis 'c'"):
        losslang.compile("objective main(x: logit[b, c=3]):\n    ce(x, labels=3)\n")


def test_a_declared_number_is_the_same_along_every_axis() -> None:
    text = "objective main(x: real[b, d], y: real):\n    l1(x, y)\n"
    assert total(text, x=torch.tensor([[1.0, 3.0]]), y=torch.tensor(2.0)) == 1


def test_a_divisor_made_of_extents_keeps_its_sign() -> None:
    text = "objective main(x: real[b, d]):\n    mse({}, x)\n"
    x = torch.tensor([[-2.0, -2.0, -2.0]])
    assert total(text.format("(0*x + 4)/(1 - size(d))"), x=x) == 0
    assert total(text.format("(0*x + 2)/(1 - 2)"), x=x) == 0
    assert total(text.format("x/(size(b) - 1)"), x=x) == 0, "where it is 0 it counts as 1"


def test_a_pick_has_axes_of_its_own() -> None:
    text = "objective main(x: real[b, m=4], y: real[b, k=2]):\n    z[b, k] = pick(x, m=k + 1)\n    l1(z, y)\n"
    assert total(text, x=torch.tensor([[0.0, 1.0, 2.0, 3.0]]), y=torch.tensor([[1.0, 0.0]])) == 1


def test_the_lesser_of_an_index_and_a_number_is_an_index() -> None:
    text = "objective main(x: real[b, m=2], y: real[b, k=3]):\n    z[b, k] = pick(x, m=min(k, 1))\n    l1(z, y)\n"
    assert total(text, x=torch.tensor([[1.0, 2.0]]), y=torch.tensor([[1.0, 2.0, 2.0]])) == 0


def test_a_condition_on_a_variable_does_not_order_the_axes_of_a_value() -> None:
    body = "ce(x - 1 if c == y else x, y) + ce(2 if c == y else 0.5*x, y)"
    text = f"objective main(x: logit[b, c], y: label[b] < c):\n    {body}\n"
    x = torch.zeros(3, 2)
    wanted = math.log1p(math.exp(1)) + math.log1p(math.exp(-2))
    assert total(text, x=x, y=torch.tensor([0, 1, 1])) == pytest.approx(wanted)


@pytest.mark.parametrize("factor", ["t/1000", "t*0.001", "0.1^t", "mean[b](t > 1)", "1 / (t if t > 1 else 0.1)"])
def test_integers_become_reals_in_working_precision(factor: str) -> None:
    text = f"objective main(x: real[b], t: int[b]):\n    mse({factor}, x)\n"
    t = torch.tensor([1, 2, 3])
    exact = {
        "t/1000": [0.001, 0.002, 0.003],
        "t*0.001": [0.001, 0.002, 0.003],
        "0.1^t": [0.1, 0.01, 0.001],
        "mean[b](t > 1)": [2 / 3] * 3,
        "1 / (t if t > 1 else 0.1)": [10, 0.5, 1 / 3],
    }[factor]
    assert total(text, x=torch.tensor(exact, dtype=DOUBLE), t=t) < 1e-30
