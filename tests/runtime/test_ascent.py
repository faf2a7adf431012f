"""``argmax[z in ball(...)](f)``: against loops of projected gradient ascent written by hand in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import losslang
from losslang.ir.printer import print_objective
from losslang.passes import pipeline
from tests.passes.programs import same

HEADER = "model: real[b, ...] -> logit[b, c], x, noise: real[b, ...], y: label[b] < c"


def text(ball: str, rest: str, f: str = "sum[b](ce(model(z), y))", word: str = "argmax") -> str:
    """Cross entropy at the place that is reached, and the model at the clean input."""
    adv = f"{word}[z in {ball}]({f}, {rest})"
    return f"objective main({HEADER}):\n    adv = {adv}\n    ce(model(adv), y) + ce(model(x), y)"


def classifier() -> nn.Module:
    """A small classifier in float64."""
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 5)).double()


def batch() -> dict[str, Tensor]:
    torch.manual_seed(3)
    x, noise = torch.rand(4, 3, 4, dtype=torch.float64), torch.randn(4, 3, 4, dtype=torch.float64)
    return {"x": x, "noise": noise, "y": torch.tensor([0, 3, 1, 4])}


def length(z: Tensor) -> Tensor:
    return z.flatten(1).norm(dim=1)[:, None, None]


def linf(x: Tensor, eps: float) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.min(torch.max(z, x - eps), x + eps)


def l2(x: Tensor, eps: float) -> Callable[[Tensor], Tensor]:
    return lambda z: x + (z - x) * (eps / length(z - x)).clamp(max=1)


def attacked(model: nn.Module, given: dict[str, Tensor], start: Tensor, steps: int, step: float, **how: Any) -> Tensor:
    """Ascent by hand: a step, into 0..1, into the ball."""
    z = start.detach()
    for _ in range(steps):
        z.requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(model(z), given["y"], reduction="sum"), z)
        z = z.detach() + step * how["direction"](slope)
        if how.get("within", True):
            z = z.clamp(0, 1)
        z = how["project"](z)
    return z


def signs(g: Tensor) -> Tensor:
    return g.sign()


def unit(g: Tensor) -> Tensor:
    return g / length(g)


CASES: dict[str, tuple[str, str, Any]] = {
    "linf": (
        "ball(linf, 0.1, at=x, within=0..1)",
        "start=x + 0.05*noise, steps=5, step=0.03",
        lambda x, n: (x + 0.05 * n, 5, 0.03, {"direction": signs, "project": linf(x, 0.1)}),
    ),
    "without bounds": (
        "ball(linf, 0.1, at=x)",
        "steps=3, step=0.07",
        lambda x, n: (x, 3, 0.07, {"direction": signs, "project": linf(x, 0.1), "within": False}),
    ),
    "l2": (
        "ball(l2, 0.4, at=x, within=0..1)",
        "start=x + 0.05*noise, steps=5, step=0.15",
        lambda x, n: (x + 0.05 * n, 5, 0.15, {"direction": unit, "project": l2(x, 0.4)}),
    ),
    "l2 over named axes": (
        "ball(l2[...], 0.4, at=x)",
        "steps=4, step=0.2",
        lambda x, n: (x, 4, 0.2, {"direction": unit, "project": l2(x, 0.4), "within": False}),
    ),
    "descent": (
        "ball(linf, 0.1, at=x, within=0..1)",
        "start=x, steps=5, step=0.03",
        lambda x, n: (x, 5, -0.03, {"direction": signs, "project": linf(x, 0.1)}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_projected_gradient_ascent(name: str) -> None:
    ball, rest, by_hand = CASES[name]
    model, given = classifier(), batch()
    word = "argmin" if name == "descent" else "argmax"
    start, steps, step, how = by_hand(given["x"].clone(), given["noise"])
    found = losslang.compile(text(ball, rest, word=word), backend="eager", allow=["LL0803"])
    given["x"].requires_grad_()
    total = found(model=model, **given).total
    adv = attacked(model, {"y": batch()["y"]}, start, steps, step, **how)
    assert not torch.equal(adv, batch()["x"])
    wanted = cross_entropy(model(adv), given["y"]) + cross_entropy(model(given["x"]), given["y"])
    torch.testing.assert_close(total, wanted, rtol=1e-12, atol=1e-12)
    wrt = [given["x"], *model.parameters()]
    for ours, theirs in zip(torch.autograd.grad(total, wrt), torch.autograd.grad(wanted, wrt), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_place_is_in_the_ball_and_a_constant(norm: str) -> None:
    """Also after no step at all; and no gradient reaches the centre, the start, or the radius."""
    source = f"""
objective main(x, s: real[b, d], r: real[b]):
    z = argmax[z in ball({norm}, r, at=x, within=0..1)](sum[b, d](z^2), start=x + s, steps=N, step=0.5)
    mean[b](max[d](abs(z - stop(x)))) as far + mean[b](norm[d](z - stop(x))) as away
    """
    torch.manual_seed(0)
    x, s = torch.rand(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    r = torch.tensor([0, 0.01, 0.1, 0.2, 0.5, 2.0], dtype=torch.float64)
    for steps in (0, 1, 4):
        for rows in range(6):
            leaves = [part[rows : rows + 1].clone().requires_grad_() for part in (x, s, r)]
            objective = losslang.compile(source.replace("N", str(steps)), backend="eager", allow=["LL0802"])
            out = objective(dict(zip("xsr", leaves, strict=True)))
            assert out.terms["far" if norm == "linf" else "away"].value <= float(r[rows]) + 1e-12
            assert not out.total.requires_grad


def test_a_small_gradient_shows_the_way_too() -> None:
    """Squares of it vanish in single precision."""
    source = """
objective main(x: real[b, d]):
    z = argmax[z in ball(l2, 1, at=x)](sum[b, d](1e-30*z), steps=1, step=0.5)
    mean[b](norm[d](z - x))
"""
    found = losslang.compile(source, backend="eager")(x=torch.zeros(2, 4)).total
    torch.testing.assert_close(found.detach(), torch.tensor(0.5))


def test_where_nothing_changes_it_stays() -> None:
    source = """
objective main(x: real[b, d]):
    z = argmax[z in ball(l2, 1, at=x)](sum[b, d](0*z), steps=3, step=0.5)
    mean[b](norm[d](z - x))
"""
    assert losslang.compile(source, backend="eager")(x=torch.randn(2, 4)).total == 0


def test_a_mask_holds_for_attacks() -> None:
    """Rows that do not exist are not attacked, and have no part in what the others become."""
    source = """
loss adversarial(model: real[b, ...] -> logit[b, c], x: real[b, ...], y: label[b] < c) -> [b]:
    z = argmax[z in ball(l2, 0.3, at=x)](sum[b](ce(model(z), y)), steps=3, step=0.2)
    ce(model(z), y)

objective main(x: real[b, ...], keep: bool[b]): adversarial(mask=keep)
"""
    model, given, keep = classifier(), batch(), torch.tensor([True, False, True, True])
    found = losslang.compile(source, backend="eager")(model=model, x=given["x"], y=given["y"], keep=keep).total
    x, y = given["x"][keep], given["y"][keep]
    adv = attacked(model, {"y": y}, x, 3, 0.2, direction=unit, project=l2(x, 0.3), within=False)
    torch.testing.assert_close(found, cross_entropy(model(adv), y))


def test_every_stage_prints_and_elaborates_back() -> None:
    for ball in ("ball(linf, 0.1, at=x, within=0..1)", "ball(l2[...], 0.1, at=x)"):
        of = losslang.check(text(ball, "start=x + noise, steps=2, step=0.1"))
        for stage in (of, *(pipeline.run(of, after) for after in pipeline.NAMES)):
            assert same(losslang.check(print_objective(stage)), stage), print_objective(stage)


def test_inductor_gives_the_same() -> None:
    source = text("ball(linf, 0.1, at=x, within=0..1)", "start=x + 0.01*noise, steps=2, step=0.05")
    model, given = classifier(), batch()
    totals = [
        losslang.compile(source, backend=backend)(model=model, **given).total for backend in ("eager", "inductor")
    ]
    torch.testing.assert_close(*totals)


def test_the_library_trains_a_model_that_resists() -> None:
    """Adversarial training moves every parameter, and the loss at the worst input falls."""
    model, given = classifier(), batch()
    objective = losslang.compile("trades(eps=0.05, steps=3, step_size=0.02)", backend="eager", seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    before = [p.detach().clone() for p in model.parameters()]
    totals: list[float] = []
    for _ in range(30):
        out = objective(model=model, x=given["x"], labels=given["y"])
        optimiser.zero_grad()
        out.backward()
        optimiser.step()
        totals.append(float(out.total.detach()))
    assert totals[-1] < 0.5 * totals[0]
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_a_function_with_its_arguments_stands_for_a_model() -> None:
    source = """
fn linear(image: real[b, d], w: real[c, d]) -> [b, c]: sum[d](w*image)

objective main(x: real[b, d], w: real[c, d], y: label[b] < c):
    pgd(model=linear(w=w), x=x, labels=y, noise=0*x, eps=0.1, steps=3, step_size=0.1)
"""
    given = batch()
    x, w = given["x"].flatten(1), torch.randn(5, 12, dtype=torch.float64, requires_grad=True)
    found = losslang.compile(source, backend="eager")(x=x, w=w, y=given["y"]).total
    z = x
    for _ in range(3):
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(z @ w.T, given["y"], reduction="sum"), z)
        z = linf(x, 0.1)((z + 0.1 * slope.sign()).clamp(0, 1)).detach()
    wanted = cross_entropy(z @ w.T, given["y"])
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(total, w)[0] for total in (found, wanted)))
