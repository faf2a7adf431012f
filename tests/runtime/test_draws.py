"""Chance: random defaults have the shape that their type says, and are drawn anew, replaced and repeated."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import losslang
from losslang import compiler
from losslang.ir import nodes as ir
from losslang.ir.oracle import Oracle
from losslang.passes import pipeline

NOISY = """
loss noisy(x: real[b, ...], noise: real[b, ...] = normal(0.5)) -> [b, ...]: abs(x + noise)
objective main: {}
"""


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def of(parameter: str, value: str) -> str:
    """A loss that gives what it draws."""
    return f"loss f(x: real[b, c], {parameter}) -> [b, c]: {value} + x\nobjective main: f(reduce=none)\n"


def drawn(text: str, shape: tuple[int, ...] = (400, 500)) -> Tensor:
    torch.manual_seed(0)
    return eager(text)(x=torch.zeros(shape)).total


def test_normal_numbers() -> None:
    x = drawn(of("z: real[b, c] = normal()", "z"))
    assert x.mean().abs() < 0.01 and abs(x.std() - 1) < 0.01
    x = drawn(of("z: real[b, c] = normal(3)", "z"))
    assert x.mean().abs() < 0.03 and abs(x.std() - 3) < 0.03
    x = drawn(of("z: real[b, c] = normal(2, 0.1)", "z"))
    assert abs(x.mean() - 2) < 0.01 and abs(x.std() - 0.1) < 0.01


def test_uniform_numbers() -> None:
    x = drawn(of("u: real[b, c] = uniform()", "u"))
    assert 0 <= x.min() < 0.001 and 0.999 < x.max() < 1 and abs(x.mean() - 0.5) < 0.01
    x = drawn(of("u: real[b, c] = uniform(-2, 4)", "u"))
    assert -2 <= x.min() < -1.99 and 3.99 < x.max() < 4 and abs(x.mean() - 1) < 0.02


def test_truth_values() -> None:
    x = drawn(of("m: bool[b, c] = bernoulli(0.3)", "m"))
    assert set(x.unique().tolist()) == {0, 1} and abs(x.mean() - 0.3) < 0.01
    x = drawn(
        "loss f(x: real[b, c], p: real in 0..1 = 0.8, m: real[b, c] = bernoulli(p)) -> [b, c]: m + x\n"
        "objective main: f(reduce=none)\n"
    )
    assert abs(x.mean() - 0.8) < 0.01


def test_permutations() -> None:
    rows = drawn(of("order: int[b, c] = permutation()", "order"), (50, 7))
    assert torch.equal(rows.sort(-1).values, torch.arange(7.0).expand(50, 7)), (
        "of the last axis, for each of the others"
    )
    assert len({tuple(row) for row in rows.tolist()}) > 40
    text = (
        "loss f(x: real[b, c], order: int[b, n] < b = permutation()) -> [b, n]: order + sum[c](x)\n"
        "objective main: f(reduce=none)\n"
    )
    rows = drawn(text, (6, 2))
    assert torch.equal(rows.sort(-1).values, torch.arange(6.0).expand(6, 6)), "below an axis: one of its places"


def test_the_type_gives_the_shape() -> None:
    for text, shape in {
        of("z: real[b] = normal()", "z"): (4, 1),
        of("z: real[c] = normal()", "z"): (1, 3),
        of("z: real = normal()", "z"): (1, 1),
        of("z: real[c, b] = normal()", "z"): (4, 3),
        of("z: real[c, m=5] = normal()", "sum[m](z)"): (1, 3),
    }.items():
        x = drawn(text, (4, 3))
        assert torch.equal(x, x[: shape[0], : shape[1]].expand(4, 3)), text
        assert len(x.unique()) == shape[0] * shape[1], text


def test_an_axis_gets_its_extent_from_the_call() -> None:
    text = of("z: real[b, m] = uniform(1, 2)", "sum[m](z)").replace("f(reduce", "f(m=300, reduce")
    x = drawn(text, (4, 3))
    assert x.min() > 400 and x.max() < 500


def test_draws_are_new_in_every_call_and_seeded_by_torch() -> None:
    objective, x = eager(NOISY.format("noisy")), torch.zeros(3, 4)
    torch.manual_seed(7)
    first = [objective(x=x).total.item() for _ in range(3)]
    torch.manual_seed(7)
    assert [objective(x=x).total.item() for _ in range(3)] == first
    assert len(set(first)) == 3


def test_evaluation_draws_too() -> None:
    objective, x = eager(NOISY.format("noisy")).eval(), torch.zeros(3, 4)
    assert objective(x=x).total.item() != objective(x=x).total.item()


def test_an_argument_takes_the_place_of_a_draw() -> None:
    x, noise = torch.randn(3, 4), torch.randn(3, 4)
    objective = eager(NOISY.format("noisy(x, noise=z)"))
    assert objective.needs.draws == ()
    torch.testing.assert_close(objective(x=x, z=noise).total, (x + noise).abs().mean())
    torch.testing.assert_close(eager(NOISY.format("noisy(noise=0)"))(x=x).total, x.abs().mean())


def test_each_parameter_of_each_call_has_draws_of_its_own() -> None:
    objective = eager(NOISY.format("noisy(x) + noisy(x) as again"))
    assert [spec.key for spec in objective.needs.draws] == ["again.noise", "noisy.noise"]
    out = objective(x=torch.zeros(3, 4))
    assert out.terms["noisy"].value.item() != out.terms["again"].value.item()


def test_a_draw_used_twice_is_one() -> None:
    assert drawn(of("z: real[b, c] = normal()", "z - z"), (3, 4)).abs().max() == 0


def test_other_axes_pass_by_a_draw() -> None:
    text = (
        "fn shaken(x: real[c], z: real[c] = normal()) -> [c]: x + z\n"
        "loss f(x: real[b, c]) -> [b, c]: shaken(x)\nobjective main: f(reduce=none)\n"
    )
    x = drawn(text, (4, 3))
    assert torch.equal(x, x[:1].expand(4, 3)), "the type says what has numbers of its own"


def test_a_seed_makes_draws_a_function_of_the_step() -> None:
    x = torch.zeros(3, 4)
    whole = eager(NOISY.format("noisy"), seed=3)
    torch.manual_seed(0)
    wanted = [whole(x=x).total.item() for _ in range(6)]
    first, second = (eager(NOISY.format("noisy"), seed=3) for _ in range(2))
    torch.manual_seed(1)
    assert [first(x=x).total.item() for _ in range(3)] == wanted[:3]
    second.load_state_dict(first.state_dict())
    torch.rand(5)
    assert [second(x=x).total.item() for _ in range(3)] == wanted[3:]
    assert len(set(wanted)) == 6
    assert eager(NOISY.format("noisy"), seed=4)(x=x).total.item() != wanted[0]
    evaluated = copy.deepcopy(second).eval()
    assert evaluated(x=x).total.item() == evaluated(x=x).total.item(), "the step does not move"


def test_a_seed_leaves_torchs_own_numbers_alone() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    eager(NOISY.format("noisy"), seed=3)(x=torch.zeros(3, 4))
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.slow
def test_inductor_draws_what_eager_draws() -> None:
    text = NOISY.format("noisy + noisy(x=y) as other")
    one, other = eager(text), losslang.compile(text)
    for seed in range(2):
        found = []
        for objective in (one, other):
            torch.manual_seed(seed)
            found.append(objective(x=torch.ones(3, 4), y=torch.zeros(5)).total)
        torch.testing.assert_close(*found)


def test_the_oracle_takes_draws_by_key() -> None:
    text = of("z: real[c, b] = normal()", "z")
    planned = pipeline.run(compiler.check(text))
    assert planned.total is not None
    z = np.arange(12.0).reshape(3, 4)
    (value,) = Oracle({"x": np.zeros((4, 3))}, draws={"f.z": z}).evaluate([planned.total])
    np.testing.assert_array_equal(value, z.T)
    first, again = (Oracle({"x": np.zeros((4, 3))}, seed=1).evaluate([planned.total])[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_what_draws_depends_on_an_input_that_says_how_large_it_is() -> None:
    text = "loss f(x: real[b], y: real[b], z: real[b] = uniform()) -> [b]: z*y\nobjective main: f\n"
    of_text = compiler.check(text)
    assert [node.name for node in of_text.inputs] == ["y"]
    alone = "loss f(x: real[b], z: real[b] = uniform()): mean[b](z)\nobjective main: l1(y, 0) + f\n"
    assert [node.name for node in compiler.check(alone).inputs] == ["y", "x"]
    assert eager(alone, allow=["f.LL0802"])(x=torch.ones(3), y=torch.ones(2)).total.item() > 1
    assert any(isinstance(node, ir.Draw) for node in ir.topological(compiler.check(alone).roots()))
