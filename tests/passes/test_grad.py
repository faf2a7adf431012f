"""Gradients of the IR against central differences; passes keep values and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients, jacobian
from losslang.ir.nodes import Node, Objective
from losslang.ir.rewrite import substitute
from losslang.passes import pipeline
from losslang.passes.balance import balance
from losslang.passes.lift_state import lift_state
from losslang.passes.share import share
from losslang.passes.simplify import simplify
from losslang.passes.stabilise import stabilise
from losslang.types import Axis
from tests.passes.primitives import PRIMITIVES, title
from tests.passes.programs import (
    COMPOSITES,
    INPUTS,
    LOSSES,
    ROW,
    D,
    S,
    X,
    Y,
    as_total,
    close,
    differentiable,
    finite,
    objective,
    oracle,
    programs,
    random_inputs,
    value_and_gradients,
)

Inputs = dict[str, NDArray[Any]]
EVERY = [*LOSSES, *COMPOSITES, *PRIMITIVES.values()]


def along(of: Objective, root: Node, inputs: Inputs, direction: Inputs, step: float) -> float:
    """The central difference of a scalar along a direction, of order four; what `stop` holds stays as it is."""
    stops = [node for node in ir.topological([root]) if ops.is_op(node, "stop")]
    held = dict(zip(stops, oracle(inputs).evaluate([*stops, *of.inputs]), strict=False))

    def at(times: float) -> float:
        moved = oracle({n: x + times * step * direction[n] if n in direction else x for n, x in inputs.items()})
        moved.values.update(held)
        return float(moved.evaluate([root, *of.inputs])[0])

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)


def assert_gradients(of: Objective, root: Node, seed: int = 0, step: float = 1e-5) -> None:
    inputs = random_inputs(of, seed)
    wrt = differentiable(of)
    found = value_and_gradients(root, of, inputs)[1:]
    rng = np.random.default_rng(seed + 1)
    for node, gradient in zip(wrt, found, strict=True):
        direction = rng.normal(size=inputs[node.name].shape)
        wanted = along(of, root, inputs, {node.name: direction}, step)
        assert np.isclose(np.sum(gradient * direction), wanted, rtol=1e-5, atol=1e-7), node.name


@pytest.mark.parametrize("text", EVERY, ids=title)
def test_gradients_agree_with_differences(text: str) -> None:
    of = pipeline.run(objective(text), "balance")
    root = as_total(of)
    if root.axes:
        root = ops.mean(root, root.axes)
    assert_gradients(of, _stopless(root))


@pytest.mark.parametrize("text", ["infonce(tau=auto)", "l1 + focal | uncertainty", "clip(scale=auto(10))"])
def test_learned_values_have_gradients(text: str) -> None:
    of = pipeline.run(objective(text))
    inputs = random_inputs(of)
    slots = list(of.slots())
    found = oracle(inputs).evaluate(gradients(as_total(of), slots))
    for slot, gradient in zip(slots, found, strict=True):
        step = 1e-5
        high, low = (
            float(oracle(inputs, {slot.key: slot.init + sign * step}).evaluate([as_total(of)])[0]) for sign in (1, -1)
        )
        assert np.isclose(float(gradient), (high - low) / (2 * step), rtol=1e-5, atol=1e-8)


def smooth(of: Objective, root: Node, inputs: Inputs, direction: Inputs) -> bool:
    """Whether no kink is near: differences of two steps agree."""
    near, far = (along(of, root, inputs, direction, step) for step in (1e-6, 1e-4))
    return bool(np.isclose(near, far, rtol=1e-4, atol=1e-6))


@given(programs(), st.integers(0, 5))
def test_gradients_of_random_programs(of: Objective, seed: int) -> None:
    root = as_total(of)
    inputs = random_inputs(of, seed)
    values = value_and_gradients(root, of, inputs)
    assume(finite(values) and max(float(np.max(np.abs(v))) for v in values) < 1e6)
    rng = np.random.default_rng(seed)
    direction = {node.name: rng.normal(size=inputs[node.name].shape) for node in differentiable(of)}
    assume(smooth(of, root, inputs, direction))
    wanted = along(of, root, inputs, direction, 1e-5)
    total = sum(float(np.sum(g * direction[n.name])) for n, g in zip(differentiable(of), values[1:], strict=True))
    assert np.isclose(total, wanted, rtol=1e-5, atol=1e-6)


def _stopless(root: Node) -> Node:
    """The same value without `stop`: a difference does not know of it."""
    return substitute([root], lambda node: node.args[0] if ops.is_op(node, "stop") else None)[root]


@given(programs(), st.integers(0, 5))
def test_second_derivatives_of_random_programs(of: Objective, seed: int) -> None:
    """Derivatives are made of what has derivatives: the slope of a gradient's length is one more gradient."""
    root, wrt, inputs = _stopless(as_total(of)), differentiable(of), random_inputs(of, seed)
    length: Node = ops.const(0.0)
    for gradient in gradients(root, wrt):
        square = ops.apply("mul", gradient, gradient)
        length = ops.apply("add", length, ops.reduce("sum", square, square.axes))
    values = value_and_gradients(length, of, inputs)
    assume(finite(values) and max(float(np.max(np.abs(v))) for v in values) < 1e6)
    rng = np.random.default_rng(seed)
    direction = {node.name: rng.normal(size=inputs[node.name].shape) for node in wrt}
    assume(smooth(of, root, inputs, direction) and smooth(of, length, inputs, direction))
    wanted = along(of, length, inputs, direction, 1e-5)
    total = sum(float(np.sum(g * direction[n.name])) for n, g in zip(wrt, values[1:], strict=True))
    assert np.isclose(total, wanted, rtol=1e-4, atol=1e-5)


TWICE = ["ce(smoothing=0.1)", "infonce", "charbonnier", "log_cosh", "tv(order=l2)", "1 - ssim(win=5)", "supcon", "bce"]


@pytest.mark.parametrize("text", [*TWICE, *PRIMITIVES.values()], ids=title)
def test_second_derivatives_of_losses(text: str) -> None:
    of = pipeline.run(objective(text), "balance")
    inputs = random_inputs(of)
    rng = np.random.default_rng(1)
    wrt = differentiable(of)
    weigh = {node.name: rng.normal(size=inputs[node.name].shape) for node in wrt}
    slope = _weighted(gradients(as_total(of), wrt), wrt, weigh)
    for node, found in zip(wrt, value_and_gradients(slope, of, inputs)[1:], strict=True):
        direction = rng.normal(size=found.shape)
        wanted = along(of, slope, inputs, {node.name: direction}, 1e-4)
        assert np.isclose(np.sum(found * direction), wanted, rtol=1e-5, atol=1e-7), node.name


def _weighted(nodes: list[Node], wrt: list[ir.Input], weigh: Inputs) -> Node:
    """The sum of gradients, each times a smooth function of its input that is nowhere constant."""
    total: Node = ops.const(0.0)
    for node, gradient in zip(wrt, nodes, strict=True):
        factor = ops.apply("sin", ops.apply("mul", ops.const(float(weigh[node.name].flat[0])), node))
        part = ops.apply("mul", gradient, factor)
        total = ops.apply("add", total, ops.reduce("sum", part, part.axes))
    return total


# ------------------------------------------------------------------------------------------ rows
def test_axes_that_remain_are_rows() -> None:
    """One rule, however the row's axis is used below: carried along, reduced, stacked, or the root's own variable."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    inputs = {"x": x, "y": y, "s": rng.normal(size=4), "m": x > 0, "k": np.array([0, 2, 1, 1])}
    row = ROW.copy(1)
    z = ops.index(Y, {ROW: ops.iota(row)})
    product = ops.reduce("sum", ops.apply("mul", X, z), [ROW, D])
    shares = ops.apply("div", ops.apply("exp", S), ops.reduce("sum", ops.apply("exp", S), [ROW]))
    stacked = ops.stack(Axis("v", 2), [ops.reduce("sum", ops.apply("tanh", X), X.axes), product])
    columns = ops.index(ops.reduce("sum", ops.apply("tanh", X), [ROW]), {D: ops.iota(D.copy(1))})
    for root, wrt in ((product, X), (shares, S), (stacked, X), (columns, X)):
        root = ops.index(root, {ROW: ops.iota(row)})
        state, node = oracle(inputs), jacobian(root, wrt)
        state.evaluate([node, *INPUTS])
        each = _one_by_one(root, wrt, inputs)
        found = np.broadcast_to(state.align(node, ops.merge((root, wrt))), each.shape)
        assert np.allclose(found, each, atol=1e-8)


def _one_by_one(root: Node, wrt: ir.Input, inputs: Inputs) -> NDArray[Any]:
    """The derivative of every element of a root, by central differences; its dimensions in the order of the axes."""
    state = oracle(inputs)
    state.evaluate(INPUTS)
    value = np.asarray(inputs[wrt.name])
    found = np.zeros((*value.shape, *state.shape(root.axes)))
    for place in np.ndindex(value.shape):
        ends: list[NDArray[Any]] = []
        for step in (1e-6, -1e-6):
            moved = value.copy()
            moved[place] += step
            ends.append(oracle({**inputs, wrt.name: moved}).evaluate([root, *INPUTS])[0])
        found[place] = (ends[0] - ends[1]) / 2e-6
    axes = [*wrt.axes, *root.axes]
    order = sorted(range(len(axes)), key=lambda n: axes[n].key)
    return found.transpose(order)


# ------------------------------------------------------------------------------------------ passes
@pytest.mark.parametrize("step", [simplify, lift_state, balance, stabilise, share], ids=lambda step: step.__name__)
@given(of=programs(), seed=st.integers(0, 5))
def test_a_pass_keeps_values_and_gradients(step: pipeline.Pass, of: Objective, seed: int) -> None:
    _assert_kept(of, step(of), seed)


@given(programs(), st.integers(0, 5))
def test_the_pipeline_keeps_values_and_gradients(of: Objective, seed: int) -> None:
    _assert_kept(of, pipeline.run(of), seed)
    _assert_kept(of, pipeline.run(of, skip=frozenset({"simplify"})), seed)


@pytest.mark.parametrize("text", EVERY, ids=title)
def test_losses_are_equal_without_simplify(text: str) -> None:
    of = objective(text)
    plain = pipeline.run(of, "balance", skip=frozenset({"simplify"}))
    inputs = random_inputs(of)
    wanted = value_and_gradients(as_total(plain), of, inputs)
    for skipped in (frozenset[str](), frozenset({"simplify"}), frozenset({"simplify", "share"})):
        found = value_and_gradients(as_total(pipeline.run(of, skip=skipped)), of, inputs)
        assert close(found, wanted)


def _assert_kept(before: Objective, after: Objective, seed: int) -> None:
    inputs = random_inputs(before, seed)
    after = replace(after, inputs=before.inputs)
    wanted = value_and_gradients(as_total(before), before, inputs)
    assume(finite(wanted) and max(float(np.max(np.abs(v))) for v in wanted) < 1e6)
    found = value_and_gradients(as_total(after), before, inputs)
    assert close(found, wanted, 1e-7)
