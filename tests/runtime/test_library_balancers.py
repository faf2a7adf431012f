"""Every balancer of the library, from text to trained steps: it learns, and it is resumed exactly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import losslang
from losslang.sema.modules import library
from losslang.syntax import ast

NAMES = [entry.name for entry in library() if entry.keyword == "balancer"]
AT = {
    entry.name
    for entry in library()
    if isinstance(entry.item, ast.Definition) and any(p.name == "wrt" for p in entry.item.parameters)
}


def compiled(name: str) -> losslang.Objective:
    call = f"{name}(wrt=pred)" if name in AT else name
    text = f"objective main(pred, target: real[b, d]): l1(pred, target) + 0.5*mse + 2*huber(delta=0.3) | {call}\n"
    return losslang.compile(text, backend="eager", seed=0)


def batch(step: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(step)
    x = torch.randn(16, 3, generator=random, dtype=torch.float64)
    return x.to(dtype), (x @ torch.tensor([[1.0, 0.5], [0.0, 1.0], [-1.0, 2.0]], dtype=x.dtype) + 1).to(dtype)


def model(dtype: torch.dtype = torch.float64) -> nn.Linear:
    made = nn.Linear(3, 2).to(dtype)
    with torch.no_grad():
        made.weight.fill_(0.1)
        made.bias.fill_(-0.2)
    return made


def train(objective: losslang.Objective, net: nn.Linear, steps: range, lr: float = 0.02) -> list[float]:
    optimizer = torch.optim.SGD([*net.parameters(), *objective.parameters()], lr=lr)
    totals: list[float] = []
    for step in steps:
        x, target = batch(step, net.weight.dtype)
        out = objective(pred=net(x), target=target)
        optimizer.zero_grad()
        out.total.backward()
        optimizer.step()
        totals.append(float(out.total.detach()))
    return totals


def error(net: nn.Linear) -> float:
    x, target = batch(1000)
    return float((net(x) - target).detach().square().mean())


@pytest.mark.parametrize("name", NAMES)
def test_it_trains(name: str) -> None:
    """Ordinary steps of an ordinary optimizer; what is reported is finite, and the network gets better."""
    net = model()
    before = error(net)
    totals = train(compiled(name), net, range(30))
    assert all(map(math.isfinite, totals))
    assert error(net) < before - 0.1


@pytest.mark.parametrize("name", NAMES)
def test_it_is_resumed_exactly(name: str) -> None:
    whole, net = compiled(name), model()
    expected = train(whole, net, range(8))[5:]
    first, other = compiled(name), model()
    train(first, other, range(5))
    resumed = compiled(name)
    resumed.load_state_dict(first.state_dict())
    assert train(resumed, other, range(5, 8)) == expected
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_gives_the_same(name: str) -> None:
    exact = train(compiled(name), model(), range(4))
    single = train(compiled(name), model(torch.float32), range(4))
    assert single == pytest.approx(exact, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"relobralo", "rlw"}))
def test_evaluation_stores_nothing(name: str) -> None:
    objective, net = compiled(name).eval(), model()
    x, target = batch(0)
    kept = {key: value.clone() for key, value in objective.state_dict().items()}
    first = objective(pred=net(x), target=target).total
    assert torch.equal(objective(pred=net(x), target=target).total, first)
    assert all(torch.equal(kept[key], value) for key, value in objective.state_dict().items())
