"""The caller's models for the oracle: torch's own derivatives, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from losslang.ir.nodes import ModelCall
from losslang.testing.subject import Array


class Twin:
    """A model on arrays: what it gives, and the derivatives of that."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    def run(self, call: ModelCall, steps: tuple[int, ...], args: Sequence[Array], rows: Sequence[int]) -> Array:
        """The result, or a derivative of it, in float64."""
        import torch

        from losslang.runtime import models

        callee = models.Callee(self.name, call.model.type_text, self.function)
        names = tuple(name for name, _ in call.weights)
        tensors = [torch.tensor(arg) for arg in args]
        first = 1 + len(names)
        made = models.run(callee, False, False, bool(steps), names, *tensors[:first])
        for step, g, count in zip(steps, tensors[first:], rows, strict=True):
            cotangent = models.operand(made, g)
            (found,) = models.vjp(made, [step], cotangent, count, False, True)
            made = models.derived(made, cotangent, found)
        return made.result.detach().numpy()

    def parameter(self, name: str) -> Array:
        """A parameter of the module."""
        from losslang.runtime import models

        return models.parameter(models.Callee(self.name, "", self.function), name).detach().numpy()
