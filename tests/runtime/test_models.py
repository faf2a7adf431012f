"""Models as parameters: who gets which gradient, derivatives inside and outside, what a wrong model is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import losslang
from losslang import compiler
from losslang.diagnostics import LosslangError
from losslang.ir import nodes as ir
from losslang.ir.grad import gradients
from losslang.ir.oracle import Oracle
from losslang.ir.printer import print_objective
from losslang.passes import pipeline
from losslang.testing.models import Twin
from tests.passes.programs import as_total, same

Model = Callable[..., Any]

GAME = """
loss steep(D: image[b, c, h, w] -> score[b, ...], real: image[b, c, h, w]) -> [b]:
    norm[c, h, w](grad[real](sum[b, ...](D(real))))^2

objective game_g(G: real[b, d] -> image[b, c, h, w], D: image[b, c, h, w] -> score[b, ...], z: real[b, d]):
    hinge_g(stop(D)(G(z)))

objective game_d(G: real[b, d] -> image[b, c, h, w], D: image[b, c, h, w] -> score[b, ...], z: real[b, d],
                 x: image[b, c, h, w]):
    hinge_d(D(x), D(stop(G(z)))) as gan + 10*steep(D, x) as penalty
"""

PENALTY = """
loss gp(D: image[b, c, h, w] -> score[b, ...], real, fake: image[b, c, h, w], alpha: real[b]) -> [b]:
    x = alpha*real + (1 - alpha)*fake
    (norm[c, h, w](grad[x](sum[b, ...](D(x)))) - 1)^2

objective main: gp
"""

ALIGNED = """
loss alike(model: real[b, ...] -> logit[b, c], x: real[b, ...], wanted: real[b, k, ...], classes: int[b, k] < c) -> [b]:
    g = grad[x](sum[b](log_softmax[c](model(x))[classes]))
    mean[k](sum[...]((g - wanted)^2))

objective main: alike
"""

TWICE = """
loss twice(model: real[b, ...] -> real[b], x: real[b, ...]) -> [b]:
    first = grad[x](sum[b](model(x)^2))
    second = grad[x](sum[b](sum[...](first^2)))
    sum[...](second*x)

objective main: twice
"""


def generator(seed: int = 0) -> nn.Module:
    """A small generator of images in float64."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 27), nn.Tanh(), nn.Unflatten(1, (3, 3, 3))).double()


def discriminator(seed: int = 1) -> nn.Module:
    """A small discriminator that scores patches."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 1)).double()


def classifier(classes: int = 5, features: int = 12, seed: int = 2) -> nn.Module:
    """A small classifier of flattened inputs."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 7), nn.Tanh(), nn.Linear(7, classes)).double()


def leaf(*shape: int, seed: int = 0) -> Tensor:
    """A random leaf in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_same(found: Tensor, wanted: Tensor, *wrt: Tensor) -> None:
    """Equal values and equal gradients; no gradient at all is one of 0."""
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)
    ours = torch.autograd.grad(found, wrt, allow_unused=True, retain_graph=True)
    theirs = torch.autograd.grad(wanted, wrt, allow_unused=True, retain_graph=True)
    for x, a, b in zip(wrt, ours, theirs, strict=True):
        zero = torch.zeros_like(x)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b, rtol=1e-8, atol=1e-9)


def slope(y: Tensor, x: Tensor) -> Tensor:
    """A gradient that can be differentiated."""
    (found,) = torch.autograd.grad(y, x, create_graph=True)
    return found


# ------------------------------------------------------------------------------------------ games
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_gradients_reach_exactly_the_right_player(backend: Any) -> None:
    G, D, z, x = generator(), discriminator(), leaf(5, 6).detach(), leaf(5, 3, 3, 3).detach()
    out = losslang.compile(GAME, name="game_g", backend=backend)(G=G, D=D, z=z)
    assert_same(out.total, -D(G(z)).mean(), *G.parameters())
    out.backward()
    assert all(p.grad is not None for p in G.parameters()) and all(p.grad is None for p in D.parameters())
    assert all(p.requires_grad for p in D.parameters())

    G, D = generator(), discriminator()
    out = losslang.compile(GAME, name="game_d", backend=backend)(G=G, D=D, z=z, x=x)
    real = x.clone().requires_grad_()
    gan = torch.relu(1 - D(x)).mean() + torch.relu(1 + D(G(z).detach())).mean()
    penalty = slope(D(real).sum(), real).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(out.terms["penalty"].value, penalty.detach())
    assert_same(out.total, gan + 10 * penalty, *D.parameters())
    out.backward()
    assert all(p.grad is None for p in G.parameters()) and all(p.grad is not None for p in D.parameters())


def test_a_frozen_model_passes_a_gradient_to_what_it_is_given() -> None:
    D, x = discriminator(), leaf(2, 3, 3, 3)
    text = "objective main(D: image[b, c, h, w] -> score[b, ...], x: image[b, c, h, w]): hinge_g(stop(D)(x))"
    out = losslang.compile(text, backend="eager")(D=D, x=x)
    assert_same(out.total, -D(x).mean(), x)
    assert torch.autograd.grad(out.total, list(D.parameters()), allow_unused=True) == (None,) * 4


def test_two_batches_of_different_size() -> None:
    D, x, y = discriminator(), leaf(5, 3, 3, 3).detach(), leaf(2, 3, 3, 3, seed=1).detach()
    text = """
objective main(D: image[b, c, h, w] -> score[b, ...], x: image[i, c, h, w], y: image[j, c, h, w]):
    hinge_d(D(x), D(y))
"""
    found = losslang.compile(text, backend="eager")(D=D, x=x, y=y).total
    assert_same(found, torch.relu(1 - D(x)).mean() + torch.relu(1 + D(y)).mean(), *D.parameters())


def test_patches_of_another_size() -> None:
    """What ``...`` of a result stands for depends on what the model is given."""
    D, x, y = discriminator(), leaf(5, 3, 3, 3).detach(), leaf(2, 3, 4, 6, seed=1).detach()
    text = """
loss near_one(fake: score[b, ...]) -> [b, ...]: (fake - 1)^2

objective main(D: image[b, c, h, w] -> score[b, ...], x: image[i, c, h, w], y: image[j, c, p, q]):
    hinge_g(D(x)) + near_one(D(y))
"""
    found = losslang.compile(text, backend="eager")(D=D, x=x, y=y).total
    assert_same(found, -D(x).mean() + (D(y) - 1).square().mean(), *D.parameters())


def test_a_model_takes_what_a_model_gives() -> None:
    """Also over dimensions that have no name: they are told apart again."""
    text = """
objective main(f: real[b, d] -> real[b, ...], g: real[b, ...] -> real[b], x: real[b, d]):
    mse(g(f(x)), 1)
"""
    f, x = generator(), leaf(4, 6)
    seen: list[tuple[int, ...]] = []

    def g(y: Tensor) -> Tensor:
        seen.append(tuple(y.shape))
        return y.square().sum((1, 2, 3))

    found = losslang.compile(text, backend="eager")(f=f, g=g, x=x).total
    assert seen == [(4, 3, 3, 3)]
    assert_same(found, (f(x).square().sum((1, 2, 3)) - 1).square().mean(), x, *f.parameters())


def test_a_value_is_given_to_a_model_once() -> None:
    calls: list[int] = []

    def score(x: Tensor) -> Tensor:
        calls.append(len(x))
        return x.square().sum((1, 2, 3))

    x = leaf(2, 3, 4, 4)
    text = GAME.replace("D(stop(G(z)))", "D(x)")
    game = losslang.compile(text, name="game_d", backend="eager", allow=["LL0803"])
    game(D=score, G=nn.Identity(), z=leaf(2, 6), x=x).backward()
    assert len(calls) == 1


# ------------------------------------------------------------------------------------------ derivatives
def test_gradient_penalty() -> None:
    D, real, fake, alpha = discriminator(), leaf(4, 3, 3, 3), leaf(4, 3, 3, 3, seed=1), leaf(4, seed=2)
    found = losslang.compile(PENALTY, backend="eager")(D=D, real=real, fake=fake, alpha=alpha).total
    mix = alpha[:, None, None, None]
    x = mix * real + (1 - mix) * fake
    length = slope(D(x).sum(), x).flatten(1).norm(dim=1)
    assert_same(found, (length - 1).square().mean(), real, fake, alpha, *D.parameters())


def test_rows_of_gradients() -> None:
    model, x, wanted = classifier(), leaf(3, 2, 6), leaf(3, 4, 2, 6, seed=1)
    classes = torch.tensor([[0, 1, 4, 2], [3, 3, 0, 1], [2, 4, 1, 0]])
    found = losslang.compile(ALIGNED, backend="eager")(model=model, x=x, wanted=wanted, classes=classes).total
    logp = model(x).log_softmax(1).gather(1, classes)
    rows = torch.stack([slope(logp[:, k].sum(), x) for k in range(4)], 1)
    assert_same(found, (rows - wanted).square().sum((2, 3)).mean(), x, wanted, *model.parameters())


def test_derivatives_of_derivatives_of_a_model() -> None:
    model, x = nn.Sequential(classifier(1, 6), nn.Flatten(0)), leaf(3, 6)
    found = losslang.compile(TWICE, backend="eager")(model=model, x=x).total
    first = slope(model(x).square().sum(), x)
    second = slope(first.square().sum(), x)
    assert_same(found, (second * x).sum(1).mean(), x, *model.parameters())


@pytest.mark.parametrize("text", [PENALTY, ALIGNED, TWICE], ids=["penalty", "rows", "twice"])
def test_the_ir_differentiates_through_models(text: str) -> None:
    """The derivative of an objective is one more program: the oracle's agrees with torch's backward."""
    models = {"model": classifier(), "D": discriminator()}
    tensors: dict[str, Tensor] = {"real": leaf(4, 3, 3, 3), "fake": leaf(4, 3, 3, 3, seed=1), "alpha": leaf(4)}
    if text is not PENALTY:
        tensors = {"x": leaf(3, 2, 6), "wanted": leaf(3, 2, 2, 6), "classes": torch.tensor([[0, 1], [2, 4], [3, 3]])}
    if text is TWICE:
        tensors, models = {"x": leaf(3, 6)}, {"model": nn.Sequential(classifier(1, 6), nn.Flatten(0))}
    of = losslang.check(text)
    used = {spec.name: models[spec.name] for spec in of.models}
    given = {node.name: tensors[node.name] for node in of.inputs}
    total = losslang.compile(text, backend="eager")({**given, **used}).total
    real = [node for node in of.inputs if node.dtype == "real"]
    wanted = torch.autograd.grad(total, [given[node.name] for node in real])
    for stage in (of, pipeline.run(of)):
        oracle = Oracle(
            {name: x.detach().numpy() for name, x in given.items()},
            models={name: Twin(name, model) for name, model in used.items()},
        )
        root = as_total(stage)
        value, *found = oracle.evaluate([root, *gradients(root, real)])
        assert np.isclose(value, float(total.detach()), rtol=1e-10)
        for node, ours, theirs in zip(real, found, wanted, strict=True):
            places = [place for axis in node.dims for place in oracle.places((axis,), node.axes)]
            assert np.allclose(np.broadcast_to(ours, oracle.shape(node.axes)).transpose(places), theirs, atol=1e-10)


@pytest.mark.parametrize("text", [GAME, PENALTY, ALIGNED, TWICE], ids=["game", "penalty", "rows", "twice"])
def test_objectives_with_models_print_and_elaborate_back(text: str) -> None:
    for name in ("game_g", "game_d") if text is GAME else ("main",):
        of = losslang.check(text, name=name)
        for stage in (of, *(pipeline.run(of, after) for after in pipeline.NAMES)):
            again = losslang.check(print_objective(stage))
            assert same(again, stage) and again.models == stage.models, print_objective(stage)


def test_a_model_runs_under_the_callers_autocast_and_in_its_own_precision() -> None:
    seen: list[torch.dtype] = []

    class Watched(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(input.dtype)
            return super().forward(input)

    text = "objective main(net: real[b, d] -> logit[b, c], x: real[b, d], y: label[b] < c): ce(net(x), y)"
    objective = losslang.compile(text, backend="eager")
    y = torch.tensor([0, 1, 2])
    out = objective(net=Watched(6, 4).bfloat16(), x=torch.randn(3, 6), y=y)
    assert out.total.dtype == torch.float32 and seen.pop() == torch.bfloat16
    out.backward()
    net = nn.Linear(6, 4)
    kinds: list[torch.dtype] = []
    net.register_forward_hook(lambda module, args, result: kinds.append(result.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        assert objective(net=net, x=torch.randn(3, 6), y=y).total.dtype == torch.float32
    assert kinds == [torch.bfloat16]


def test_buffers_and_chance_are_the_models_own() -> None:
    """A call in training mode counts once for a batch norm, as it would without an objective."""
    net = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    text = CALL + " + 0.1*ce(net(x), y) as again"
    objective = losslang.compile(text, backend="eager", allow=["again.LL0812"])
    objective(net=net, x=torch.randn(5, 6), y=torch.tensor([0, 1, 2, 0, 1]))
    assert int(net[0].num_batches_tracked) == 1  # type: ignore[arg-type]


def test_no_graph_is_kept_where_none_is_wanted() -> None:
    D, x = discriminator(), leaf(2, 3, 3, 3)
    penalty = "loss p(D: image[b, c, h, w] -> score[b, ...], x: image[b, c, h, w]) -> [b]:\n    {}\nobjective main: p\n"
    text = penalty.format("x[b, 0, 0, 0]*stop(norm[c, h, w](grad[x](sum[b, ...](D(x)))))")
    found = losslang.compile(text, backend="eager")(D=D, x=x).total
    real = x.detach().requires_grad_()
    length = torch.autograd.grad(D(real).sum(), real)[0].flatten(1).norm(dim=1)
    assert_same(found, (x[:, 0, 0, 0] * length).mean(), x, *D.parameters())
    with torch.no_grad():
        assert not losslang.compile(PENALTY, backend="eager")(D=D, real=x, fake=x, alpha=leaf(2)).total.requires_grad


# ------------------------------------------------------------------------------------------ functions of losslang
def test_a_function_of_losslang_stands_for_a_model() -> None:
    text = """
fn double(x: real[...]): 2*x

loss far(model: real[b, d] -> real[b, d], x: real[b, d]) -> [b]: norm[d](model(x) - x)

objective main: far(model=double) + far(model=tanh) as other + far(model=net) as own
"""
    net, x = nn.Linear(3, 3).double(), leaf(4, 3)
    found = losslang.compile(text, backend="eager")(net=net, x=x).total
    wanted = x.norm(dim=1).mean() + (x.tanh() - x).norm(dim=1).mean() + (net(x) - x).norm(dim=1).mean()
    assert_same(found, wanted, x, *net.parameters())


def test_shared_dimensions_have_a_name() -> None:
    text = """
loss denoise(net: real[b, ...s] -> real[b, ...s], x: real[b, ...s]) -> [b, ...s]: (net(x) - x)^2

objective main: denoise
"""
    net, x = nn.Conv2d(2, 2, 3, padding=1).double(), leaf(3, 2, 5, 5)
    objective = losslang.compile(text, backend="eager")
    assert_same(objective(net=net, x=x).total, (net(x) - x).square().mean(), x, *net.parameters())
    with pytest.raises(LosslangError, match="LL0513"):
        objective(net=nn.Conv2d(2, 3, 3).double(), x=x)


# ------------------------------------------------------------------------------------------ wrong models
CALL = "objective main(net: real[b, d] -> logit[b, c], x: real[b, d], y: label[b] < c): ce(net(x), y)"


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        (torch.randn(3, 4), "LL0504", "'net' is no model"),
        (None, "LL0504", "NoneType"),
        (lambda x: (x, x), "LL0513", "gave no tensor"),
        (lambda x: x.sum(1), "LL0513", r"real\[b, d\] -> logit\[b, c\]"),
        (lambda x: x[:2], "LL0513", "another shape"),
    ],
)
def test_a_wrong_model_is_told(model: Any, code: str, words: str) -> None:
    with pytest.raises(LosslangError, match=code) as caught:
        losslang.compile(CALL, backend="eager")(net=model, x=torch.randn(3, 4), y=torch.tensor([0, 1, 2]))
    assert caught.match(words)


def test_a_missing_model_is_missed() -> None:
    objective = losslang.compile(CALL, backend="eager")
    with pytest.raises(LosslangError, match="LL0501") as caught:
        objective(x=torch.randn(3, 4), y=torch.tensor([0, 1, 2]))
    assert caught.match("net: real")
    with pytest.raises(LosslangError, match="LL0502"):
        objective(net=nn.Linear(4, 5), x=torch.randn(3, 4), y=torch.tensor([0, 1, 2]), other=nn.Linear(4, 5))
    assert objective.signature.models[0].name == "net"
    renamed = losslang.compile(CALL, backend="eager", bind={"net": "classifier"})
    renamed({"classifier": nn.Linear(4, 5), "x": torch.randn(3, 4), "y": torch.tensor([0, 1, 2])})


def test_what_is_stopped_is_a_module() -> None:
    text = CALL.replace("net(x)", "stop(net)(x)")
    with pytest.raises(LosslangError, match="LL0513"):
        losslang.compile(text, backend="eager")(net=lambda x: x, x=torch.randn(3, 4), y=torch.tensor([0, 1, 2]))


def test_a_model_without_history_cannot_be_differentiated() -> None:
    def score(x: Tensor) -> Tensor:
        with torch.no_grad():
            return x.sum((1, 2, 3))

    with pytest.raises(LosslangError, match="LL0513"):
        losslang.compile(PENALTY, backend="eager")(D=score, real=leaf(2, 3, 3, 3), fake=leaf(2, 3, 3, 3), alpha=leaf(2))


def test_models_of_a_game_are_listed() -> None:
    of = losslang.check(GAME, name="game_d")
    assert [model.name for model in of.models] == ["G", "D"]
    assert of.models[1].type_text.startswith("image[b, c, h, w] -> score[b, ...")
    assert len([n for n in ir.topological(of.roots()) if isinstance(n, ir.Model)]) == 3


@pytest.mark.parametrize("name", ["game_g", "game_d"])
def test_an_objective_with_models_is_exported(name: str, tmp_path: Path) -> None:
    G, D, z, x = generator(), discriminator(), leaf(5, 6).detach(), leaf(5, 3, 3, 3).detach()
    source = compiler.export(GAME, tmp_path, name=name).read_text()
    names: dict[str, Any] = {"__name__": "objective"}
    exec(compile(source, "objective.py", "exec"), names)
    given = {"G": G, "D": D, "z": z} | ({"x": x} if name == "game_d" else {})
    wanted = losslang.compile(GAME, name=name, backend="eager")(given).total
    assert_same(names["Objective"]()(**given).total, wanted, *G.parameters(), *D.parameters())
    with pytest.raises(ValueError, match="models are missing"):
        names["Objective"]()(**{**given, "D": None})
