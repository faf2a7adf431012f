"""Balancers: the terms are an axis like any other, and what is learned over it belongs to terms by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import losslang

TERMS = "a = mean[i](x^2)\n    b = mean[i](abs(x))\n    c = max[i](x)\n    2*a + b + 0.5*c"


def compiled(balancer: str, name: str = "mine", backend: losslang.Backend = "eager") -> losslang.Objective:
    text = f"{balancer}\nobjective main(x: real[i]):\n    {TERMS}\n    | {name}\n"
    return losslang.compile(text, backend=backend)


def batch() -> Tensor:
    return torch.randn(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def losses(x: Tensor) -> Tensor:
    return torch.stack([(x**2).mean(), x.abs().mean(), x.max()])


W = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)

BODIES = {
    "softmax": ("sum[k](stop(softmax[k](loss))*w*loss)", lambda v: (v.softmax(0).detach() * W * v).sum()),
    "count": ("sum[k](w*loss)/sum[k](1)", lambda v: (W * v).sum() / 3),
    "pairs": (
        "gram[k, l] = loss[k]*loss[l]\n    norm[k, l](gram) + sum[l](gram[l, l])",
        lambda v: torch.outer(v, v).norm() + (v**2).sum(),
    ),
    "largest": ("max[k](w*loss) + mean[k](loss)", lambda v: (W * v).max() + v.mean()),
    "others": ("sum[k, l if k != l](loss[k]*w[l])", lambda v: (torch.outer(v, W) * (1 - torch.eye(3))).sum()),
}


@pytest.mark.parametrize("name", BODIES)
def test_terms_are_an_ordinary_axis(name: str) -> None:
    body, wanted = BODIES[name]
    x, y = batch(), batch()
    out = compiled(f"balancer mine(loss, w: real[k]):\n    {body}\n")(x=x)
    value = losses(y).requires_grad_()
    total = wanted(value)
    torch.testing.assert_close(out.total, total)
    (weights,) = torch.autograd.grad(total, value, retain_graph=True)
    torch.testing.assert_close(torch.stack([term.weight for term in out.terms.values()]), weights)
    out.total.backward()
    total.backward()
    torch.testing.assert_close(x.grad, y.grad)


def test_learned_values_belong_to_terms_by_name() -> None:
    first = compiled("balancer mine(loss: real[k]):\n    s[k] = auto(0)\n    sum[k](exp(-s)*loss + s)\n")
    assert list(first.state_dict()) == [f"terms.mine.s.{term}" for term in "abc"]


def test_the_axis_of_terms_has_any_name() -> None:
    objective = compiled("balancer mine(loss, weight: real[t]):\n    sum[t](weight*loss)\n".replace("weight", "w"))
    x = batch()
    torch.testing.assert_close(objective(x=x).total, (W * losses(x)).sum())


def test_an_input_may_have_an_axis_of_that_name() -> None:
    body = "balancer mine(loss, w: real[k]):\n    sum[k](w*loss)\n"
    text = f"{body}objective main(x: real[k]):\n    l1(x, 0) + mse(x, 0) | mine\n"
    x = batch()
    out = losslang.compile(text, backend="eager")(x=x)
    torch.testing.assert_close(out.total, x.abs().mean() + (x**2).mean())
