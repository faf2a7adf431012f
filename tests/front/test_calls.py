"""Calls of definitions inside definitions: which axes come back, in which order, under which names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import losslang
from losslang.ir.printer import print_objective
from losslang.passes import pipeline

X = torch.tensor([[1.0, 2.0, 4.0], [0.5, -1.0, 3.0]])
Y = torch.tensor([[0.0, 1.0, -2.0], [2.0, 1.0, 0.5]])


def objective(text: str) -> losslang.Objective:
    """The compiled text, which every stage of the compiler prints as the same nodes."""
    first = losslang.check(text)
    for stage in (first, pipeline.run(first)):
        printed = print_objective(stage)
        assert print_objective(losslang.check(printed)) == printed
    return losslang.compile(text, backend="eager")


def total(text: str, **batch: Any) -> float:
    """The total of a batch."""
    return float(objective(text)(**batch).total)


# ------------------------------------------------------------------------------------------ the order of axes
LEVELLED = "fn levelled[i](x: real[i]) -> [i]:\n    y[i] = x - mean[i](x)\n    y\n\n"


@pytest.mark.parametrize("over", ["i", "d"])
def test_what_a_function_does_not_see_keeps_its_place(over: str) -> None:
    text = (
        f"{LEVELLED}loss corner(x: real[i, d]) -> [i]:\n"
        f"    y = levelled[{over}](x)\n    y[i, 2] + 0*sum[d](x)\n\nobjective main: corner"
    )
    centred = X - X.mean(0 if over == "i" else 1, keepdim=True)
    assert total(text, x=X) == pytest.approx(float(centred[:, 2].mean()))


def test_the_result_of_a_loss_keeps_the_order_of_its_arguments() -> None:
    text = (
        "fn half(z: real[d]) -> [d]: z/2\n\n"
        "loss first(x: real[i, d]) -> [i]: half(x)[i, 1] + 0*sum[d](x)\n\nobjective main: first"
    )
    assert total(text, x=X) == pytest.approx(float(X[:, 1].mean() / 2))


# ------------------------------------------------------------------------------------------ axes that a call makes
def test_an_axis_that_a_call_made_can_be_compared() -> None:
    text = (
        "loss one(z1, z2: embed[i, d]) -> [v, i if v == 0]: nt_xent(z1, z2, tau=1)\n\n"
        "loss other(z1, z2: embed[i, d]):\n    rows[v, i if v == 1] = nt_xent(z1, z2, tau=1)\n    mean[v, i](rows)\n\n"
        "objective main: {}"
    )
    both = total("nt_xent(tau=1)", z1=X, z2=Y)
    first, second = (total(text.replace("{}", name), z1=X, z2=Y) for name in ("one", "other"))
    assert first != pytest.approx(second)
    assert (first + second) / 2 == pytest.approx(both)


def test_an_axis_that_a_call_made_has_its_name_beside_another_of_that_name() -> None:
    z = torch.nn.functional.normalize(torch.stack([X, Y, X + Y], 1), dim=-1)
    a, b = z[:, 0], z[:, 1]
    whole = objective("supcon(z) + dclw(a, b)")(z=z, a=a, b=b)
    assert float(whole.terms["dclw"].value) == pytest.approx(total("dclw(a, b)", a=a, b=b))


# ------------------------------------------------------------------------------------------ logsumexp of several
def test_logsumexp_of_nothing_is_nothing() -> None:
    text = (
        "loss joined(x: real[i], on: bool[i, j], y: real[j]) -> [i]:\n"
        "    part[i] = logsumexp[j if on[i, j]](y)\n"
        "    softplus(logsumexp(part, part - 1) + x)\n\nobjective main: joined"
    )
    on = torch.tensor([[False, False, False], [True, False, True]])
    x, y = torch.tensor([0.5, 1.0], requires_grad=True), torch.tensor([0.2, 3.0, -1.0], requires_grad=True)
    found = objective(text)(x=x, on=on, y=y).total
    found.backward()
    part = torch.logsumexp(y[[0, 2]].detach(), 0)
    joined = torch.logaddexp(part, part - 1) + 1.0
    assert float(found.detach()) == pytest.approx(float(torch.nn.functional.softplus(joined) / 2))
    slope = torch.sigmoid(joined) / 2
    assert x.grad is not None and y.grad is not None
    assert torch.allclose(x.grad, torch.stack([torch.zeros(()), slope]))
    assert torch.allclose(y.grad[[0, 2]], slope * torch.softmax(y[[0, 2]].detach(), 0)) and y.grad[1] == 0


def test_logsumexp_of_numbers_and_large_values() -> None:
    text = "objective main(x: real[i]): max[i](logsumexp(x, log(2), 0)) + 0*l1(x, x)"
    assert total(text, x=torch.tensor([0.0, 1000.0])) == pytest.approx(1000)
    assert total(text, x=torch.tensor([0.0, 0.0])) == pytest.approx(1.3862944)


# ------------------------------------------------------------------------------------------ bindings of an objective
def test_a_binding_with_a_filter_is_a_term_as_it_stands() -> None:
    text = "objective main(a, b: embed[i, d]):\n    rows[v, i if v == {}] = nt_xent(a, b, tau=1)\n    rows\n"
    first, second = (total(text.replace("{}", view), a=X, b=Y) for view in "01")
    assert first != pytest.approx(second)
    assert (first + second) / 2 == pytest.approx(total("nt_xent(a, b, tau=1)", a=X, b=Y))


def test_a_tensor_under_other_axes_is_not_taken_for_what_a_loss_wants() -> None:
    text = (
        "objective main(q, k: embed[i, d], queue: embed[d, n]):\n    old[n, d] = queue\n"
        "    infonce(z1=q, z2=k, negatives=old)\n"
    )
    queue = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    wanted = total("infonce(z1=q, z2=k, negatives=old)", q=X, k=Y, old=queue.T)
    assert total(text, q=X, k=Y, queue=queue) == pytest.approx(wanted)


def test_the_range_of_a_binding_is_no_input() -> None:
    text = (
        "objective main(x: real[n, d]):\n    pair[g, p < 2] = pick(x, n=2*g + p)\n    max[g, p, d](pair) + l1(x, 0*x)\n"
    )
    text = text.replace("pair[g, p < 2]", "pair[g < 1, p < 2]")
    assert [node.name for node in losslang.check(text).inputs] == ["x"]
    assert total(text, x=X) == pytest.approx(float(X.max() + X.abs().mean()))


def test_labels_index_the_axis_of_another_argument_also_where_they_are_declared_as_numbers() -> None:
    text = (
        "objective main(z: embed[i, d], labels: int[i], table: embed[d, m]):\n"
        "    centers[c < 2, k < 2] = pick(table, m=2*c + k)\n    soft_triple(z=z, labels=labels, centers=centers)\n"
    )
    table = torch.arange(12.0).reshape(3, 4).cos()
    labels = torch.tensor([1, 0])
    whole = total("soft_triple", z=X, labels=labels, centers=table.T.reshape(2, 2, 3))
    assert total(text, z=X, labels=labels, table=table) == pytest.approx(whole)


def test_a_distance_of_points_that_are_combined_is_along_its_own_axis() -> None:
    text = (
        "fn meeting[d](a, b: real[d]) -> [d]: a*dot(a, b) + b\n\n"
        "loss far(x: real[i, d]):\n    d[i, j] = norm(meeting(x[i], x[j]))\n    mean[i, j](d)\n\nobjective main: far"
    )
    points = X[:, None] * (X @ X.T)[..., None] + X[None]
    assert total(text, x=X) == pytest.approx(float(points.norm(dim=-1).mean()))


# ------------------------------------------------------------------------------------------ extents alone
def test_an_input_that_only_measures_an_axis_is_one() -> None:
    text = "loss counted(x: real[i, d], y: real[i]) -> [i]: y*size(d)\n\nobjective main: counted"
    assert [node.name for node in losslang.check(text).inputs] == ["x", "y"]
    assert total(text, x=X, y=torch.ones(2)) == 3


@pytest.mark.parametrize("text", ["l1(x, y) + 0.1*(1 - ssim(x, y))", "(1 - ssim(x, y)) + l1(x, y)"])
def test_a_function_that_names_the_axis_of_a_loss_means_it(text: str) -> None:
    """Not a batch of batches of images, which ``[b, ...]`` and ``[..., b, c, h, w]`` could be too."""
    assert losslang.check(text).inputs[0].type_text == "image[b, c, h, w] in 0..1"
    assert losslang.check("l1(x, y) + mse(unit(x), y)").inputs[0].type_text == "real[b, ..., d]"


# ------------------------------------------------------------------------------------------ axes that a binding makes
def test_an_axis_that_a_binding_makes_indexes_what_comes_after_it() -> None:
    text = (
        "loss beside(x: real[b, m], y: real[b, f], z: real[b, g]):\n"
        "    both[b, k] = concat[f, g](y, z)\n    mean[b, k]((x[b, k] - both)^2)\n\nobjective main: beside"
    )
    wanted = (X - torch.cat([Y[:, :1], Y[:, 1:]], 1)).square().mean()
    assert total(text, x=X, y=Y[:, :1], z=Y[:, 1:]) == pytest.approx(float(wanted))


def test_labels_may_be_the_places_of_the_rows() -> None:
    text = (
        "objective main(x, y: embed[i, d]):\n    s[i, j] = dot(x[i], y[j])\n    own[i] = i\n"
        "    ce(logits=s, labels=own)\n"
    )
    assert total(text, x=X, y=Y) == pytest.approx(total("infonce(x, y, similarity=dot, tau=1)", x=X, y=Y))


# ------------------------------------------------------------------------------------------ bindings as tensors
@pytest.mark.parametrize("lines", ["ce(a, y)", "ce(2*a/2, y)", "b = 1*a\n    ce(b, y)"])
def test_a_binding_of_the_objective_is_a_tensor_by_its_place(lines: str) -> None:
    text = f"objective main(x: logit[b, c], y: label[b] < c):\n    a = x + 1\n    {lines}"
    labels = torch.tensor([2, 0])
    wanted = float(torch.nn.functional.cross_entropy(X + 1, labels))
    assert total(text, x=X, y=labels) == pytest.approx(wanted)
