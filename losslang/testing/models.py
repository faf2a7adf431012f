"""The caller's models for the oracle: torch's own derivatives, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from losslang.ir.nodes import ModelCall, ModelInput

Array = NDArray[Any]

CLASSES = 3
"""How long an axis is that only what a model gives has: scores of classes, rows of an image."""


def stand_in(model: ModelInput, extents: Mapping[str, int] | None = None) -> Twin:
    """What stands for any model of a type: the first numbers of an item are its scores or pixels, and then zeros; half
    of its squared length is its score, if it has only one."""
    from math import prod

    from torch.nn.functional import pad

    own = [axis for axis in model.gives if axis not in model.takes and not axis.rest]

    def scores(x: Any) -> Any:
        flat = x.reshape(len(x), -1)
        if not own:
            return (flat * flat).sum(1) / 2
        shape = [axis.size or (extents or {}).get(axis.name, CLASSES) for axis in own]
        missing = max(0, prod(shape) - flat.shape[1])
        return pad(flat, (0, missing))[:, : prod(shape)].reshape(-1, *shape)

    return Twin(model.name, scores)


class Twin:
    """A model on arrays: what it gives, and the derivatives of that."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    def run(self, call: ModelCall, steps: tuple[int, ...], args: Sequence[Array], rows: Sequence[int]) -> Array:
        """The result, or a derivative of it, in float64."""
        import torch

        from losslang.runtime import models

        callee = models.Callee(self.name, call.model.type_text, self.function)
        tensors = [torch.tensor(arg) for arg in args]
        made = models.run(callee, False, False, bool(steps), tensors[0])
        for step, g, count in zip(steps, tensors[1:], rows, strict=True):
            cotangent = models.operand(made, g)
            (found,) = models.vjp(made, [step], cotangent, count, False, True)
            made = models.derived(made, cotangent, found)
        return made.result.detach().numpy()
