"""Evaluates an adapted case with the oracle: value and gradients, of the IR before or after the passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from losslang.ir import nodes as ir
from losslang.ir import ops
from losslang.ir.grad import gradients
from losslang.ir.netspec import NetSpec
from losslang.ir.oracle import Oracle
from losslang.passes import pipeline
from losslang.runtime import nets
from losslang.sema.elaborate import elaborate
from losslang.source import Source
from tests.golden.adapters import Inputs

Array = np.ndarray[Any, Any]


def evaluate(text: str, inputs: Inputs, wrt: Sequence[str], passes: bool = False) -> tuple[Array, dict[str, Array]]:
    """The total of an objective and its gradients with respect to some inputs."""
    objective = elaborate(Source("<golden>", text))
    if passes:
        objective = pipeline.run(objective)
    total = objective.total if objective.total is not None else _total(objective)
    leaves = {node.name: node for node in objective.inputs}
    wanted = [leaves[name] for name in wrt if name in leaves]
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    state = {name.removeprefix("state."): array for name, array in arrays.items() if name.startswith("state.")}
    oracle = Oracle(arrays, state=state, **_networks(objective))
    derivatives = gradients(total, wanted)
    value, *_ = oracle.evaluate([total, *derivatives, *wanted])
    found = {node.name: _as_given(oracle, node, g) for node, g in zip(wanted, derivatives, strict=True)}
    return value, {name: found[name] if name in found else np.zeros(inputs[name].shape) for name in wrt}


def _total(objective: ir.Objective) -> ir.Node:
    total = ops.const(0.0)
    for term in objective.terms:
        total = ops.apply("add", total, ops.apply("mul", term.weight, term.value))
    return total


def _as_given(oracle: Oracle, node: ir.Input, derivative: ir.Node) -> Array:
    """A gradient with its dimensions in the caller's order."""
    gradient = np.broadcast_to(oracle.align(derivative, node.axes), oracle.shape(node.axes))
    order = [place for axis in node.dims for place in oracle.places((axis,), node.axes)]
    return gradient.transpose(order)


# ------------------------------------------------------------------------------------------ networks
def _networks(objective: ir.Objective) -> dict[str, Mapping[NetSpec, Any]]:
    specs = {n.spec for n in ir.topological(objective.roots()) if isinstance(n, (ir.Net, ir.Heads))}
    return {
        "networks": {spec: _forward(spec) for spec in specs},
        "vjps": {spec: _vjp(spec) for spec in specs},
        "heads": {spec: _heads(spec) for spec in specs},
    }


@cache
def _heads(spec: NetSpec) -> list[Array]:
    """LPIPS's weights of each tap; none where the file has none."""
    assert spec.path is not None
    state = torch.load(spec.path, weights_only=True)
    keys = [f"lin{k}.model.1.weight" for k in range(len(nets.NETS[spec.name].channels))]
    return [state[key].flatten().numpy() for key in keys if key in state]


@cache
def network(spec: NetSpec) -> nets.FeatureNet:
    """The network of a file in float64, whatever `nets.build` would make of it."""
    assert spec.path is not None
    state = torch.load(spec.path, weights_only=True)
    return nets.FeatureNet(nets.NetSpec(spec.name, "path", path=spec.path), state).double()


def _forward(spec: NetSpec) -> Any:
    def run(image: Array) -> list[Array]:
        with torch.no_grad():
            return [tap.numpy() for tap in network(spec)(torch.tensor(image))]

    return run


def _vjp(spec: NetSpec) -> Any:
    def run(image: Array, cotangents: Mapping[int, Array]) -> Array:
        x = torch.tensor(image, requires_grad=True)
        taps = network(spec)(x)
        outputs = [taps[tap] for tap in cotangents]
        (found,) = torch.autograd.grad(outputs, x, [torch.tensor(g) for g in cotangents.values()])
        return found.numpy()

    return run
