"""What ``grad``, ``iterate`` and ``argmin`` mean, against torch's own autograd, plain loops and known answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import losslang
from losslang import compiler
from losslang.diagnostics import LosslangError
from losslang.ir import nodes as ir
from losslang.ir.oracle import Oracle
from losslang.ir.printer import print_objective


def total(definitions: str, header: str, body: str, **tensors: Tensor) -> Tensor:
    """The total of an objective of one loss, in float64."""
    text = f"{definitions}\nobjective main({header}):\n    {body}\n"
    return losslang.compile(text, backend="eager")(tensors).total


def leaf(*shape: int, seed: int = 0) -> Tensor:
    """A random leaf in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def assert_same(found: Tensor, wanted: Tensor, *wrt: Tensor) -> None:
    """Equal values and equal gradients."""
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)
    ours = torch.autograd.grad(found, wrt, allow_unused=True)
    theirs = torch.autograd.grad(wanted, wrt, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        zero = torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b, rtol=1e-8, atol=1e-9)


# ------------------------------------------------------------------------------------------ grad
PENALTY = """
loss penalty(x: real[b, d], w: real[d]) -> [b]:
    score = sum[d](w*tanh(x)*x)
    norm[d](grad[x](sum[b](score)))^2
"""


def test_the_gradient_of_a_formula_is_differentiated_again() -> None:
    x, w = leaf(4, 3), leaf(3, seed=1)
    found = total(PENALTY, "x: real[b, d], w: real[d]", "penalty(x, w)", x=x, w=w)
    (slope,) = torch.autograd.grad((w * x.tanh() * x).sum(), x, create_graph=True)
    assert_same(found, slope.square().sum(1).mean(), x, w)


def test_every_occurrence_counts_also_in_normal_forms() -> None:
    """``0.5*y`` is no occurrence of ``y = -2*x`` after folding: names keep their values apart while that matters."""
    text = """
loss f(x: real[b]) -> [b]:
    y = -(2*x)
    z = exp(0.5*y) + 3*y*y - x
    grad[y](sum[b](z))^2
"""
    x = leaf(5)
    found = total(text, "x: real[b]", "f(x)", x=x)
    y = -2 * x
    (slope,) = torch.autograd.grad((torch.exp(0.5 * y) + 3 * y * y).sum(), y, create_graph=True)
    assert_same(found, slope.square().mean(), x)


def test_a_value_is_the_same_inside_and_outside_of_a_call() -> None:
    text = """
loss f(z: real[b], score: real[b]) -> [b]: grad[z](sum[b](score + z))^2
"""
    x = leaf(5)
    body = "f(z, sin(z) + 2*z)"
    found = losslang.compile(f"{text}\nobjective main(x: real[b]):\n    z = 3*x\n    {body}\n", backend="eager")(
        x=x
    ).total
    assert_same(found, (torch.cos(3 * x) + 3).square().mean(), x)


def test_axes_that_remain_are_rows() -> None:
    text = """
loss aligned(x: real[b, c], classes: int[b, k] < c, wanted: real[b, k, c]) -> [b]:
    g = grad[x](sum[b](log_softmax[c](x)[classes]))
    mean[k](sum[c]((g - wanted)^2))
"""
    x, wanted, classes = leaf(3, 5), leaf(3, 2, 5, seed=1), torch.tensor([[0, 3], [4, 1], [2, 2]])
    found = total(
        text,
        "x: real[b, c], classes: int[b, k] < c, wanted: real[b, k, c]",
        "aligned",
        x=x,
        wanted=wanted,
        classes=classes,
    )
    logp = x.log_softmax(1).gather(1, classes)
    rows = [torch.autograd.grad(logp[:, k].sum(), x, create_graph=True)[0] for k in range(2)]
    assert_same(found, (torch.stack(rows, 1) - wanted).square().sum(2).mean(), x, wanted)


def test_rows_that_depend_on_each_other() -> None:
    text = """
loss f(x: real[b, c], classes: int[b, k] < c) -> [b]:
    p = log_softmax[c](x)[classes]
    share = p/sum[k](p)
    sum[k, c](grad[x](sum[b](share))^2)
"""
    x, classes = leaf(3, 5), torch.tensor([[0, 3], [4, 1], [2, 0]])
    found = total(text, "x: real[b, c], classes: int[b, k] < c", "f", x=x, classes=classes)
    logp = x.log_softmax(1).gather(1, classes)
    share = logp / logp.sum(1, keepdim=True)
    rows = [torch.autograd.grad(share[:, k].sum(), x, create_graph=True)[0] for k in range(2)]
    assert_same(found, sum(row.square().sum() for row in rows) / 3, x)


def test_axes_that_pass_through_stay_apart() -> None:
    x, w = leaf(2, 4, 3), leaf(3, seed=1)
    outer = f"{PENALTY}\nloss outer(x: real[v, b, d], w: real[d]) -> [v, b]: penalty(x, w)\n"
    found = total(outer, "x: real[v, b, d], w: real[d]", "outer(x, w)", x=x, w=w)
    (slope,) = torch.autograd.grad((w * x.tanh() * x).sum(), x, create_graph=True)
    assert_same(found, slope.square().sum(2).mean(), x, w)


def test_a_value_without_influence_has_the_gradient_zero() -> None:
    text = "loss f(x, y: real[b]) -> [b]: x^2 + grad[y](sum[b](x^3))"
    x = leaf(4)
    assert_same(total(text, "x, y: real[b]", "f(x, y)", x=x, y=leaf(4, seed=1)), x.square().mean(), x)


def test_derivatives_of_derivatives() -> None:
    text = """
loss f(x: real[b]) -> [b]:
    first = grad[x](sum[b](sin(x)*x^3))
    grad[x](sum[b](first^2))
"""
    x = leaf(4)
    y = (torch.sin(x) * x**3).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x, create_graph=True)
    assert_same(total(text, "x: real[b]", "f", x=x), second.mean(), x)


def test_what_is_stopped_is_constant() -> None:
    text = "loss f(x: real[b]) -> [b]: x*stop(grad[x](sum[b](x^3)))"
    x = leaf(4)
    assert_same(total(text, "x: real[b]", "f", x=x), (x * (3 * x**2).detach()).mean(), x)


def test_a_mask_holds_for_gradients() -> None:
    x, w = leaf(4, 3), leaf(3, seed=1)
    m = torch.tensor([True, False, True, True])
    with torch.no_grad():
        x[1, 0] = float("nan")
    found = total(PENALTY, "x: real[b, d], w: real[d], m: bool[b]", "penalty(x, w, mask=m)", x=x, w=w, m=m)
    kept = x[m]
    (slope,) = torch.autograd.grad((w * kept.tanh() * kept).sum(), kept, create_graph=True)
    torch.testing.assert_close(found, slope.square().sum(1).mean())
    (ours,) = torch.autograd.grad(found, x)
    assert bool(torch.isfinite(ours).all()) and not ours[1].any()


@pytest.mark.parametrize("window", ["conv[h](x, gaussian(3, 1.0))", "diff[h](x)"])
def test_windows_are_differentiated_twice(window: str) -> None:
    text = f"loss f(x: real[b, h]) -> [b]: sum[h](grad[x](sum[b, h](exp({window})))^2)"
    x = leaf(2, 7)
    kernel = torch.exp(-torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64) / 2)
    kernel = kernel / kernel.sum()
    y = torch.nn.functional.conv1d(x[:, None], kernel[None, None])[:, 0] if "conv" in window else x.diff(dim=1)
    (slope,) = torch.autograd.grad(y.exp().sum(), x, create_graph=True)
    assert_same(total(text, "x: real[b, h]", "f", x=x), slope.square().sum(1).mean(), x)


@pytest.mark.slow
def test_inductor_compiles_inner_gradients() -> None:
    x, w = leaf(4, 3), leaf(3, seed=1)
    text = f"{PENALTY}\nobjective main(x: real[b, d], w: real[d]): penalty(x, w)\n"
    eager, compiled = (losslang.compile(text, backend=backend)(x=x, w=w).total for backend in ("eager", "inductor"))
    assert_same(compiled, eager, x, w)


# ------------------------------------------------------------------------------------------ iterate
def test_a_fold_is_differentiated_through() -> None:
    text = "loss f(x: real[b], n: int = 4) -> [b]: iterate[d = 0.1*x, n](d - 0.3*(d^3 - x))"
    x = leaf(5)
    d = 0.1 * x
    for _ in range(4):
        d = d - 0.3 * (d**3 - x)
    assert_same(total(text, "x: real[b]", "f", x=x), d.mean(), x)
    assert_same(total(text, "x: real[b]", "f(x, n=0)", x=x), (0.1 * x).mean(), x)


def test_a_step_may_bring_axes_and_bind_what_it_starts_from() -> None:
    text = """
loss f(x: real[i], y: real[j]) -> [i]:
    d = abs(x[i] - y[j])
    u = iterate[u = 0, 3](logsumexp[j](d - logsumexp[i](u - d)))
    u
"""
    x, y = leaf(3), leaf(4, seed=1)
    d = (x[:, None] - y).abs()
    u = torch.zeros(3, dtype=torch.float64)
    for _ in range(3):
        u = torch.logsumexp(d - torch.logsumexp(u[:, None] - d, 0), 1)
    assert_same(total(text, "x: real[i], y: real[j]", "f(x, y)", x=x, y=y), u.mean(), x, y)


def test_over_an_axis_its_index_counts() -> None:
    text = """
loss f(x: real[b, n=3], w: real[n=3]) -> [b]:
    iterate[h = 0, n](tanh(w[n]*h + x[n] + n))
"""
    x, w = leaf(4, 3), leaf(3, seed=1)
    h = torch.zeros(4, dtype=torch.float64)
    for n in range(3):
        h = torch.tanh(w[n] * h + x[:, n] + n)
    assert_same(total(text, "x: real[b, n=3], w: real[n=3]", "f(x, w)", x=x, w=w), h.mean(), x, w)


def test_a_fold_of_gradients() -> None:
    """A power iteration: each step is a gradient by the variable, and the whole is differentiated through."""
    text = """
loss f(a: real[d, e], v: real[d]):
    u = iterate[u = v, 3](grad[u](sum[d](sum[e](a*u[e])^2)/2)/norm[d](u))
    norm[d](u)
"""
    a, v = leaf(3, 3), leaf(3, seed=1)
    u = v
    for _ in range(3):
        u = a.T @ (a @ u) / u.norm()
    text = text.replace("a*u[e]", "a[d, e]*u[d=e]")
    assert_same(total(text, "a: real[d, e], v: real[d]", "f(a, v)", a=a, v=v), u.norm(), a, v)


def test_folds_nest() -> None:
    text = "loss f(x: real[b]) -> [b]: iterate[d = x, 2](iterate[e = d, 3](sin(e + d)) + x)"
    x = leaf(5)
    d = x
    for _ in range(2):
        e = d
        for _ in range(3):
            e = torch.sin(e + d)
        d = e + x
    assert_same(total(text, "x: real[b]", "f", x=x), d.mean(), x)


SINKHORN = """
fn ot(x: real[i, d], y: real[j, d], eps: real, steps: int):
    C[i, j] = sum[d]((x - y)^2)/2
    n = log(size(i))
    f = iterate[f = 0, steps](-eps*(logsumexp[j]((-eps*(logsumexp[i]((f - C)/eps) - n) - C)/eps) - log(size(j))))
    g = -eps*(logsumexp[i]((f - C)/eps) - log(size(i)))
    mean[i](f) + mean[j](g)

loss transport(x: real[i, d], y: real[j, d], eps: real = 0.01, steps: int = 500):
    ot(x, y, eps, steps) - ot(x, x[k], eps, steps)/2 - ot(y, y[l], eps, steps)/2

objective main: transport
"""


def test_five_hundred_steps_are_elaborated_in_seconds() -> None:
    """Steps share what the body was evaluated to: they cost no evaluation of the text."""
    start = time.perf_counter()
    losslang.check(SINKHORN)
    assert time.perf_counter() - start < 10
    x, y = leaf(4, 2), leaf(5, 2, seed=1)
    few = losslang.compile(SINKHORN.replace("500", "20").replace("0.01", "0.5"), backend="eager")
    assert_same(few(x=x, y=y).total, _transport(x, y, 0.5, 20), x, y)


def _transport(x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
    def cost(x: Tensor, y: Tensor) -> Tensor:
        C = (x[:, None] - y).square().sum(2) / 2
        f = torch.zeros(len(x), dtype=x.dtype)
        logs = torch.tensor([len(x), len(y)], dtype=x.dtype).log()
        for _ in range(steps):
            g = -eps * (torch.logsumexp((f[:, None] - C) / eps, 0) - logs[0])
            f = -eps * (torch.logsumexp((g - C) / eps, 1) - logs[1])
        g = -eps * (torch.logsumexp((f[:, None] - C) / eps, 0) - logs[0])
        return f.mean() + g.mean()

    return cost(x, y) - cost(x, x) / 2 - cost(y, y) / 2


def test_too_much_is_refused() -> None:
    text = f"loss f(x: real[b]) -> [b]: iterate[d = x, 9000]({' + '.join(f'sin({k}*d)' for k in range(60))})"
    with pytest.raises(LosslangError, match="LL0406"):
        losslang.check(f"{text}\n\nobjective main: f\n")


# ------------------------------------------------------------------------------------------ argmin over a simplex
SETS = """
loss f(g: real[k=3, d]) -> [k]:
    gram[k, l] = sum[d](g[k]*g[l])
    a = {problem}
    a*sum[d](g)
"""
PROBLEMS = {
    "shortest": "argmin[a in simplex(k)](sum[d](sum[k](a[k]*g[k])^2))",
    "shortest, by argmax": "argmax[a in simplex(k)](-norm[d](sum[k](a[k]*g[k])))",
    "bargained": "argmin[a in positive(k)](sum[k, l](a[k]*a[l]*gram)/2 - sum[k](log(a[k])))",
    "conflict-averse": "argmin[a in simplex(k)](sum[d](sum[k](a*g)*mean[k](g))"
    " + 0.5*norm[d](mean[k](g))*norm[d](sum[k](a*g)))",
    "softmax": "argmax[a in simplex(k)](sum[k](a*sum[d](g)) - sum[k](a*log(a)))",
}


def vector(problem: str, g: Tensor) -> Tensor:
    """Where the function of a problem is least; the loss is the mean of ``a*sum[d](g)``."""
    g = g.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(SETS.format(problem=problem), "g: real[k=3, d]", "f", g=g), g)
    return 3 * slope[:, 0]


@pytest.mark.parametrize("seed", range(3))
def test_the_shortest_convex_combination(seed: int) -> None:
    g = leaf(3, 4, seed=seed).detach()
    gram = g @ g.T
    for name in ("shortest", "shortest, by argmax"):
        a = vector(PROBLEMS[name], g)
        assert bool((a >= 0).all()) and abs(float(a.sum()) - 1) < 1e-12
        slope = gram @ a
        assert float(slope.min()) >= float(a @ slope) - 1e-8 * float(gram.abs().max())
    plain = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]], dtype=torch.float64)
    torch.testing.assert_close(vector(PROBLEMS["shortest"], plain), plain.new_tensor([0.5, 0.5, 0]), atol=1e-8, rtol=0)


def test_bargaining_and_entropy_have_known_answers() -> None:
    g = leaf(3, 4).detach()
    a = vector(PROBLEMS["bargained"], g)
    torch.testing.assert_close(a * (g @ g.T @ a), torch.ones(3, dtype=torch.float64), atol=1e-7, rtol=0)
    torch.testing.assert_close(vector(PROBLEMS["softmax"], g), g.sum(1).softmax(0), atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_oracle_finds_the_same_minimum_its_own_way(name: str) -> None:
    g = leaf(3, 4, seed=2).detach()
    text = SETS.format(problem=PROBLEMS[name]) + "\nobjective main: f\n"
    of = losslang.check(text)
    node = next(node for node in ir.topological(of.roots()) if isinstance(node, ir.Minimum))
    (found, *_) = Oracle({"g": g.numpy()}).evaluate([node, *of.inputs])
    torch.testing.assert_close(vector(PROBLEMS[name], g), torch.tensor(found), atol=1e-7, rtol=0)
    assert losslang.check(print_objective(of)).terms[0].value is of.terms[0].value


def test_a_quadratic_is_a_small_problem_whatever_it_is_made_of() -> None:
    """Slope and matrix are made outside: no tensor of the batch's size enters the iterations."""
    of = losslang.check(SETS.format(problem=PROBLEMS["shortest"]) + "\nobjective main: f\n")
    node = next(node for node in ir.topological(of.roots()) if isinstance(node, ir.Minimum))
    places = {leaf.place for leaf in ir.topological([node.gradient, node.hessian]) if isinstance(leaf, ir.Variable)}
    assert all("d" not in map(str, node.args[place - 1].axes) for place in places if place)


def test_numbers_of_any_size_are_no_matter() -> None:
    g = leaf(3, 4, seed=1).detach()
    for scale in (1e-12, 1e12):
        torch.testing.assert_close(
            vector(PROBLEMS["shortest"], scale * g), vector(PROBLEMS["shortest"], g), atol=1e-7, rtol=0
        )
    flat = vector(PROBLEMS["shortest"], torch.zeros(3, 4, dtype=torch.float64))
    torch.testing.assert_close(flat, torch.full((3,), 1 / 3, dtype=torch.float64))


def test_what_has_no_minimum_is_an_error() -> None:
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(LosslangError, match="LL0510"):
        vector(PROBLEMS["bargained"], opposite)
    lost = opposite.clone()
    lost[0, 0] = float("nan")
    assert bool(vector(PROBLEMS["bargained"], lost).isnan().any())


def test_the_default_backend_runs_what_it_cannot_compile() -> None:
    g = leaf(3, 4)
    text = SETS.format(problem=PROBLEMS["bargained"]) + "\nobjective main: f\n"
    assert_same(losslang.compile(text)(g=g).total, losslang.compile(text, backend="eager")(g=g).total, g)


def test_a_minimum_is_exported(tmp_path: Path) -> None:
    g = leaf(3, 4)
    text = SETS.format(problem=PROBLEMS["bargained"]) + "\nobjective main: f\n"
    source = compiler.export(text, tmp_path).read_text()
    names: dict[str, Any] = {"__name__": "objective"}
    exec(compile(source, "objective.py", "exec"), names)
    assert_same(names["Objective"]()(g=g).total, losslang.compile(text, backend="eager")(g=g).total, g)
