"""Learning: `auto` as a tensor, where it starts, its bounds and its size."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import losslang
from losslang import compiler
from losslang.diagnostics import LosslangError

PROXIES = """
loss proxies(z: embed[i, d], labels: label[i] < c, proxies: real[c, d] = auto(normal(0.1))) -> [i]:
    s[i, c] = dot(z[i], proxies[c])
    logsumexp[c](s) - s[labels]
objective main: {}
"""


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def test_a_learned_tensor_is_a_parameter_of_the_module() -> None:
    objective = eager(PROXIES.format("proxies(c=3, d=4)"))
    (parameter,) = objective.parameters()
    assert parameter.shape == (3, 4), "in the order of its type"
    assert list(objective.state_dict()) == ["terms.proxies.proxies"]
    z, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    out = objective(z=z, labels=labels)
    wanted = torch.nn.functional.cross_entropy(z @ parameter.T, labels)
    torch.testing.assert_close(out.total, wanted)
    out.total.backward()
    assert parameter.grad is not None
    torch.testing.assert_close(parameter.grad, torch.autograd.grad(wanted, parameter)[0])


def test_it_starts_at_random_numbers_that_torch_or_the_seed_draws() -> None:
    torch.manual_seed(0)
    first = eager(PROXIES.format("proxies(c=300, d=400)"))
    torch.manual_seed(0)
    second = eager(PROXIES.format("proxies(c=300, d=400)"))
    (one,), (other,) = first.parameters(), second.parameters()
    assert torch.equal(one, other) and abs(one.std() - 0.1) < 0.001 and one.mean().abs() < 0.001
    seeded = [eager(PROXIES.format("proxies(c=3, d=4)"), seed=seed).terms["proxies.proxies"] for seed in (1, 1, 2)]
    assert torch.equal(seeded[0], seeded[1]) and not torch.equal(seeded[0], seeded[2])


@pytest.mark.parametrize(
    ("start", "low", "high"), [("uniform(2, 3)", 2, 3), ("normal(5, 0)", 5, 5), ("0.25", 0.25, 0.25)]
)
def test_where_it_starts(start: str, low: float, high: float) -> None:
    objective = eager(PROXIES.replace("normal(0.1)", start).format("proxies(c=30, d=40)"))
    (parameter,) = objective.parameters()
    assert low <= parameter.min() and parameter.max() <= high
    given = eager(PROXIES.format(f"proxies(c=30, d=40, proxies=auto({start}))"))
    assert low <= given.terms["proxies.proxies"].min() and given.terms["proxies.proxies"].max() <= high


def test_its_size_is_declared_or_said_at_the_call() -> None:
    declared = PROXIES.replace("z: embed[i, d]", "z: embed[i, d=4]").format("proxies(c=3)")
    assert eager(declared).terms["proxies.proxies"].shape == (3, 4)
    header = PROXIES.replace("main: {}", "main(z: embed[i, d=6], labels: label[i] < c): proxies(c=2)")
    assert eager(header).terms["proxies.proxies"].shape == (2, 6)
    with pytest.raises(LosslangError, match=r"LL0306.*'d' of 'proxies.proxies'"):
        eager(PROXIES.format("proxies(c=3)"))
    with pytest.raises(LosslangError, match="LL0503"):
        eager(PROXIES.format("proxies(c=3, d=4)"))(z=torch.randn(2, 5), labels=torch.tensor([0, 1]))


def test_a_binding_is_learned_with_its_axes() -> None:
    text = (
        "loss f(x: real[b, c]) -> [b, c]:\n    s[c] = auto(0.5)\n    t = auto(2)\n    u[m < 3, c] = auto\n"
        "    t*s*x + sum[m](u)\nobjective main(x: real[b, c=4]): f\n"
    )
    objective = eager(text)
    shapes = {key: tuple(value.shape) for key, value in objective.state_dict().items()}
    assert shapes == {"terms.f.s": (4,), "terms.f.t": (), "terms.f.u": (3, 4)}
    assert objective(x=torch.ones(2, 4)).total.item() == 1


def test_it_stays_within_its_bounds() -> None:
    text = (
        "loss f(x: real[b, c], w: real[c] > 0 = auto(2), v: real[c] in -1..1 = auto(0.5)) -> [b, c]: w*x + v\n"
        "objective main(x: real[b, c=3]): f\n"
    )
    objective = eager(text)
    assert torch.allclose(objective.terms["f.w"], torch.tensor(math.log(2.0)).expand(3)), "the free parameter"
    learned = objective.learned()
    torch.testing.assert_close(learned["f.w"], torch.full((3,), 2.0))
    torch.testing.assert_close(learned["f.v"], torch.full((3,), 0.5))
    optimizer = torch.optim.SGD(objective.parameters(), lr=50.0)
    for _ in range(20):
        optimizer.zero_grad()
        objective(x=torch.ones(2, 3)).total.backward()
        optimizer.step()
    learned = objective.learned()
    assert (learned["f.w"] >= 0).all() and (learned["f.v"] >= -1).all() and (learned["f.v"] < -0.9).all()


def test_a_number_of_the_header_stays_within_its_bounds() -> None:
    objective = eager("objective main(x: real[b], w: real > 0 = auto(2)): w*l1(x, 0)\n")
    assert objective.learned() == {"w": pytest.approx(2)}
    torch.testing.assert_close(objective(x=torch.ones(3)).total, torch.tensor(2.0))


def test_two_calls_learn_two_tensors() -> None:
    objective = eager(PROXIES.format("proxies(z, labels, c=3, d=4) + proxies(z, labels, c=3, d=4) as again"))
    assert list(objective.state_dict()) == ["terms.proxies.proxies", "terms.again.proxies"]


def test_over_terms_there_is_one_tensor_for_each() -> None:
    text = (
        "balancer mine(loss: real[k]):\n    s[k, m < 2] = auto(1)\n    sum[k](loss*sum[m](s))\n"
        "objective main: l1 + mse | mine\n"
    )
    objective = eager(text)
    assert {key: tuple(value.shape) for key, value in objective.state_dict().items()} == {
        "terms.mine.s.l1": (2,),
        "terms.mine.s.mse": (2,),
    }
    out = objective(pred=torch.ones(3), target=torch.zeros(3))
    assert out.total.item() == 4 and out.terms["l1"].weight.item() == 2


def test_a_tensor_given_for_it_is_not_learned() -> None:
    objective = eager(PROXIES.format("proxies(proxies=table)"))
    assert not list(objective.parameters())
    rows = {"z": torch.randn(2, 4), "labels": torch.tensor([0, 2]), "table": torch.randn(3, 4)}
    wanted = torch.nn.functional.cross_entropy(rows["z"] @ rows["table"].T, rows["labels"])
    torch.testing.assert_close(objective(rows).total, wanted)


def test_it_prints_and_elaborates_back() -> None:
    text = compiler.ir_text(PROXIES.format("proxies(c=3, d=4)"))
    assert compiler.ir_text(text) == text
