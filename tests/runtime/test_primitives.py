"""Each primitive compiled: the graph gives what the oracle gives, whole under torch.compile, and exported."""

from __future__ import annotations

import sys
import types
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch

import losslang
from losslang import compiler
from losslang.ir import twins
from losslang.passes import pipeline
from losslang.runtime import functional
from tests.passes.primitives import PRIMITIVES
from tests.passes.programs import objective, of_module, random_inputs, value_and_gradients

NAMES = list(PRIMITIVES)
_numbers = count()


def run(module: Any, text: str) -> list[np.ndarray[Any, Any]]:
    """Total and gradients on the inputs that the oracle gets."""
    of = objective(text)
    return of_module(module, of, random_inputs(of))


def assert_close(found: list[np.ndarray[Any, Any]], wanted: list[np.ndarray[Any, Any]], tolerance: float) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a + 0 * b, b, rtol=tolerance, atol=tolerance * (1 + np.max(np.abs(b), initial=0)))


def wanted(text: str) -> list[np.ndarray[Any, Any]]:
    """The oracle's total and gradients."""
    of = objective(text)
    planned = pipeline.run(of)
    assert planned.total is not None
    return value_and_gradients(planned.total, of, random_inputs(of))


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_gives_what_the_oracle_gives(name: str) -> None:
    text = PRIMITIVES[name]
    assert_close(run(losslang.compile(text, backend="eager"), text), wanted(text), 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_one_graph(name: str) -> None:
    """A break in the graph is an error under ``fullgraph``."""
    text = PRIMITIVES[name]
    torch.compiler.reset()
    compiled = torch.compile(losslang.compile(text, backend="eager"), fullgraph=True, backend="aot_eager")
    assert_close(run(compiled, text), wanted(text), 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_exported(name: str) -> None:
    text = PRIMITIVES[name]
    module = types.ModuleType(f"exported_primitive_{next(_numbers)}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    source = compiler.artifact(losslang.compile(text, backend="eager")).python()
    exec(compile(source, "objective.py", "exec"), module.__dict__)
    assert_close(run(module.Objective(), text), wanted(text), 1e-9)


@pytest.mark.parametrize("text", ["cholesky[d, e](a)", "inv[d, e](a)", "logdet[d, e](a)", "solve[d, e](a, y)"])
def test_a_matrix_without_a_result_gives_nan(text: str) -> None:
    header = "a: real[d=2, e=2], y: real[d]" if "y" in text.partition("(")[2] else "a: real[d=2, e=2]"
    module = losslang.compile(f"objective main({header}):\n    v = {text}\n    v\n", backend="eager")
    batch = {"a": torch.tensor([[-1.0, 1.0], [1.0, -1.0]])}
    batch |= {"y": torch.ones(2)} if "y" in header.partition("]")[2] else {}
    if "logdet" in text:
        batch["a"] = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    assert bool(module(batch).total.isnan())


def test_equal_eigenvalues_leave_the_gradient_finite() -> None:
    text = "objective main(a: real[d=3, e=3]):\n    v = inv_sqrt[d, e](a) + eigmin[d, e](a)\n    v\n"
    a = torch.eye(3, requires_grad=True)
    losslang.compile(text, backend="eager")(a=a).total.backward()
    assert a.grad is not None and bool(a.grad.isfinite().all())


def test_assignments_are_those_of_least_cost_and_the_first_of_equals() -> None:
    """Against every set of columns: ties, more rows than columns and the reverse, forbidden pairs."""
    rng = np.random.default_rng(0)
    for trial in range(600):
        shape = tuple(rng.integers(1, 6, 2))
        cost = rng.normal(size=shape) if trial % 3 == 0 else rng.integers(0, 3, shape).astype(float)
        if trial % 3 == 2:
            cost = np.where(rng.random(shape) < 0.3, np.inf, cost)
        assert functional.cheapest(cost.tolist()) == twins.cheapest(cost), cost


def test_a_large_assignment_is_found() -> None:
    count = 60
    order = np.random.default_rng(1).permutation(count)
    cost = np.ones((count, count))
    cost[np.arange(count), order] = 0
    assert functional.cheapest(cost.tolist()) == order.tolist()
