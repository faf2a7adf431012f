"""Runs an adapted case on a backend and compares it with what the source computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import losslang
from losslang.diagnostics import WARNINGS
from tests.golden import corpus, oracle
from tests.golden.adapters import (
    FINITE_LIMITS,
    SOURCE_ROUNDING,
    STORED,
    SURROGATES,
    TIES,
    Inputs,
    adapt,
    identifier,
)
from tests.golden.corpus import Arrays, Case

Array = np.ndarray[Any, Any]
Backend = Callable[[str, Inputs, list[str]], "tuple[Array, dict[str, Array]]"]
"""Text, inputs and names of the differentiated ones to the total and the gradients."""

DOMAINS = ("classification", "contrastive", "image", "generative")


def compiled(text: str) -> losslang.Objective:
    """The module of a case, which does what its source does, whatever there is to say of that."""
    return losslang.compile(text, backend="eager", allow=WARNINGS)


def batch(inputs: Inputs) -> Inputs:
    """What a call takes."""
    return {name: x.detach().clone() for name, x in inputs.items() if not name.startswith("state.")}


def stored(inputs: Inputs) -> Inputs:
    """What the calls before have stored, as in a state dict."""
    return {name: x for name, x in inputs.items() if name.startswith("state.")}


def eager(text: str, inputs: Inputs, wrt: list[str]) -> tuple[Array, dict[str, Array]]:
    """The compiled module, run without a compiler of torch's."""
    objective, leaves = compiled(text), batch(inputs)
    objective.load_state_dict(stored(inputs), strict=False)
    for name in wrt:
        leaves[name].requires_grad_()
    out = objective(leaves)
    out.total.backward()
    zero = {name: np.zeros(leaves[name].shape) for name in wrt}
    found = {name: grad.numpy() for name in wrt if (grad := leaves[name].grad) is not None}
    return out.total.detach().numpy(), {**zero, **found}


BACKENDS: dict[str, Backend] = {
    "oracle": lambda text, inputs, wrt: oracle.evaluate(text, inputs, wrt),
    "oracle-passes": lambda text, inputs, wrt: oracle.evaluate(text, inputs, wrt, passes=True),
    "eager": eager,
}


def check(domain: str, case: Case, arrays: Arrays, backend: str) -> None:
    """Compare total and gradients of a case; where the source is not finite, losslang has to be."""
    text, inputs = adapt(domain, case, arrays)
    value, gradients = BACKENDS[backend](text, inputs, [identifier(name) for name in case["grad_wrt"]])
    if (domain, case["loss"]) not in SURROGATES:
        compare(domain, case, value, arrays[case["value"]], None)
    for name in case["grad_wrt"]:
        found, expected = gradients[identifier(name)], arrays[case["grad"][name]]
        found = found.reshape(expected.shape)  # an adapter may have given an input other dimensions
        if (domain, case["id"]) in TIES:
            found, expected = (levelled(g, inputs[name].numpy()) for g in (found, expected))
        compare(domain, case, found, expected, name)


def check_stored(domain: str, case: Case, arrays: Arrays) -> None:
    """Compare what a call leaves behind."""
    text, inputs = adapt(domain, case, arrays)
    objective = compiled(text)
    objective.load_state_dict(stored(inputs), strict=False)
    objective(batch(inputs))
    for name, key in STORED[domain, case["loss"]].items():
        found, expected = objective.state_dict()[f"state.{key}"].numpy(), arrays[case["aux"][name]]
        corpus.assert_close({**case, "id": f"{case['id']} {name}"}, found.reshape(expected.shape), expected)


def levelled(gradient: Array, x: Array) -> Array:
    """A gradient of rows in which equal entries of a row share their slopes."""
    equal = x[..., :, None] == x[..., None, :]
    return (equal * gradient[..., None, :]).sum(-1) / equal.sum(-1)


def compare(domain: str, case: Case, found: Array, expected: Array, wrt: str | None) -> None:
    """One value or gradient."""
    if not np.isfinite(expected).all():
        what = f"{case['id']}: the {'gradient of ' + wrt if wrt else 'value'}"
        assert (domain, case["loss"]) in FINITE_LIMITS, f"{what} of the source is not finite, and nothing says why"
        assert np.isfinite(found).all(), f"{what} is not finite"
        return
    factor, _ = SOURCE_ROUNDING.get((domain, case["id"]), (1, ""))
    loose = {key: case.get(key) for key in ("rtol", "atol", "grad_rtol", "grad_atol") if key in case}
    corpus.assert_close({**case, **_scaled(loose, factor)}, found, expected, wrt)


def _scaled(tolerance: Any, factor: float) -> Any:
    if isinstance(tolerance, dict):
        return {key: _scaled(value, factor) for key, value in tolerance.items()}
    return tolerance * factor
