"""Runs a graph in this process: as it is, or compiled by inductor as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx

from losslang.diagnostics import LosslangError, error
from losslang.runtime import functional, minimum
from losslang.runtime.module import Program


def eager(graph: fx.GraphModule) -> Program:
    """The graph, run operation by operation."""
    return graph


LARGE = 1500
"""Operations of a graph that inductor would compile for many minutes: a fold of many steps, written out."""


OPAQUE: set[object] = {minimum.least}
"""Functions that inductor cannot look into: what calls one is run as it is."""


def inductor(graph: fx.GraphModule) -> Program:
    """The graph compiled as one: a graph break is an error, not a slow path. One that cannot be so is run as it is."""
    if len(graph.graph.nodes) > LARGE or any(node.target in OPAQUE for node in graph.graph.nodes):
        return graph
    compiled = torch.compile(_for_inductor(graph), fullgraph=True, backend="inductor")

    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        try:
            return compiled(*inputs)
        except Exception as problem:
            failure = _failure(problem)
            if failure is None:
                raise
            raise failure from problem

    return run


FOR_INDUCTOR = {torch.expm1: functional.expm1}
"""Functions for which inductor has a form that loses accuracy or speed, and what stands in for them."""


def _for_inductor(graph: fx.GraphModule) -> fx.GraphModule:
    for node in graph.graph.nodes:
        if node.op == "call_function" and node.target in FOR_INDUCTOR:
            node.target = FOR_INDUCTOR[node.target]
    graph.recompile()
    return graph


def _failure(problem: Exception) -> LosslangError | None:
    """A missing or failing C++ compiler as a diagnostic; anything else is passed on."""
    text = str(problem)
    if "InvalidCxxCompiler" in text or "No working C++ compiler" in text or "CppCompileError" in type(problem).__name__:
        return error(
            "LL0509",
            "inductor found no working C++ compiler",
            expected="g++ or clang++ on the path (or in $CXX)",
            hint='install one, or compile with backend="eager"',
        )
    return None


BACKENDS: dict[str, Callable[[fx.GraphModule], Program]] = {"eager": eager, "inductor": inductor}
