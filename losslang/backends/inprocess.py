"""Runs a graph in this process: as it is, or compiled by inductor as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import fx

from losslang.diagnostics import LosslangError, error
from losslang.runtime import functional, minimum, models
from losslang.runtime.checks import GraphError
from losslang.runtime.module import Program


def eager(graph: fx.GraphModule) -> Program:
    """The graph, run operation by operation."""

    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        if torch.compiler.is_compiling():
            return graph(*inputs)
        try:
            return graph.forward(*inputs)  # called, it would print a traceback
        except Exception as problem:
            raise _located(problem, graph, inputs) from problem

    return run


LARGE = 1500
"""Operations of a graph that inductor would compile for many minutes: a fold of many steps, written out."""


OPAQUE: set[object] = {minimum.least, models.run}
"""Functions that inductor cannot look into: what calls one is run as it is."""


def inductor(graph: fx.GraphModule) -> Program:
    """The graph compiled as one: a graph break is an error, not a slow path. One that cannot be so is run as it is."""
    if len(graph.graph.nodes) > LARGE or any(node.target in OPAQUE for node in graph.graph.nodes):
        return eager(graph)
    compiled = torch.compile(_for_inductor(graph), fullgraph=True, backend="inductor")

    def run(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        try:
            return compiled(*inputs)
        except Exception as problem:
            raise _failure(problem) or _located(problem, graph, inputs) from problem

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


class _Finder(fx.Interpreter):
    """Runs a graph again, after it failed, to see which of its operations does."""

    failing: fx.Node | None = None
    problem: Exception | None = None
    operands: str = ""

    def run_node(self, n: fx.Node) -> Any:
        """One operation."""
        try:
            return super().run_node(n)
        except Exception as problem:
            if self.failing is None:
                values = self.fetch_args_kwargs_from_env(n)[0]
                self.failing, self.problem = n, problem
                self.operands = ", ".join(map(_shape, values)) or "nothing"
            raise


def _located(problem: Exception, graph: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Exception:
    """The failure of a graph as that of one operation; as it is, where memory ran out or it does not happen again."""
    if isinstance(problem, torch.OutOfMemoryError | LosslangError | models.ModelError):
        return problem
    finder = _Finder(graph, garbage_collect_values=False)
    finder.extra_traceback = False
    with suppress(Exception), torch.no_grad():
        finder.run(*inputs)
    if finder.failing is None or finder.problem is None:
        return problem
    target: object = finder.failing.target
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    return GraphError(finder.failing.meta.get("term", ""), name, finder.operands, finder.problem)


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else str(value)


BACKENDS: dict[str, Callable[[fx.GraphModule], Program]] = {"eager": eager, "inductor": inductor}
