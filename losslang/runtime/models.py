"""Runs the caller's models inside a graph: once for each value, their derivatives by torch's autograd.

Needs torch only; exported objectives carry this file's text.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call


class ModelError(Exception):
    """A model that does not do what its type says; the objective makes a diagnostic of it."""

    def __init__(self, name: str, message: str, expected: str, found: str, hint: str) -> None:
        super().__init__(name, message, expected, found, hint)
        self.name = name
        self.message, self.expected, self.found, self.hint = message, expected, found, hint

    def __str__(self) -> str:
        return f"{self.message}: expected {self.expected}, found {self.found}; {self.hint}"


class Callee(NamedTuple):
    """A model of one call of an objective, and the autocast that is in force around it."""

    name: str
    type: str
    function: Callable[..., Any]
    autocast: tuple[str, torch.dtype, bool] | None = None

    def around(self) -> AbstractContextManager[object]:
        """The caller's own autocast: the graph around it has none."""
        if self.autocast is None:
            return nullcontext()
        device, dtype, enabled = self.autocast
        return torch.autocast(device, dtype, enabled)

    def module(self, why: str) -> nn.Module:
        """The module, where its parameters are needed."""
        if isinstance(self.function, nn.Module):
            return self.function
        raise ModelError(
            self.name,
            f"the model '{self.name}' is a function, and {why}",
            "an nn.Module",
            type(self.function).__name__,
            "pass the module itself, or a module whose forward is this function",
        )

    def dtype(self) -> torch.dtype | None:
        """The precision of its parameters; None where it has none."""
        if not isinstance(self.function, nn.Module):
            return None
        kinds = (parameter.dtype for parameter in self.function.parameters() if parameter.is_floating_point())
        return next(kinds, None)


class Gate:
    """Whether a gradient goes past the operands of a run: inside the graph it ends there, in the end it does not."""

    closed = False


class _Operand(torch.autograd.Function):
    """A value as an operand of its own: what else is made of it has no part in derivatives inside the graph."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gate: Gate) -> Tensor:
        ctx.gate = gate
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None if ctx.gate.closed else gradients[0], None


class Run(NamedTuple):
    """Operands that may be differentiated by, what was made of them, and whether that is differentiated in the end."""

    operands: tuple[Tensor, ...]
    result: Tensor
    live: bool
    gate: Gate


def run(callee: Callee, frozen: bool, live: bool, tracked: bool, x: Tensor) -> Run:
    """A model on a value.

    Args:
        callee: the model.
        frozen: whether its parameters are constants.
        live: whether the result is differentiated in the end.
        tracked: whether a derivative is taken inside the graph.
        x: the value.
    """
    if frozen:
        callee.module("stop(...) holds the parameters of a module")
    live = live and torch.is_grad_enabled()
    gate = Gate()
    x = _operand(x, gate, live) if tracked else x
    with torch.enable_grad() if tracked else torch.set_grad_enabled(live):
        y = _called(callee, frozen or not live, x)
    if tracked and not y.requires_grad:
        raise ModelError(
            callee.name,
            f"the model '{callee.name}' was differentiated, and its result has no history",
            "a result that autograd knows the way back from",
            "a tensor without one",
            "is it computed under torch.no_grad(), or detached?",
        )
    return Run((x,), y, live, gate)


def _operand(value: Tensor, gate: Gate, live: bool) -> Tensor:
    """A value as something that can be differentiated by, with its own history where that counts."""
    if not value.is_floating_point():
        return value
    with torch.enable_grad():
        source = value if live and value.requires_grad else value.detach().requires_grad_()
        return cast("Tensor", _Operand.apply(source, gate))


def _called(callee: Callee, frozen: bool, x: Tensor) -> Tensor:
    own = callee.dtype()
    if own is not None and x.is_floating_point():
        x = x.to(own)
    with callee.around():
        result = _forward(callee, frozen, x)
    if isinstance(result, Tensor):
        return result
    raise ModelError(
        callee.name,
        f"the model '{callee.name}' gave no tensor",
        f"a tensor, as in {callee.type}",
        type(result).__name__,
        "pass a function that takes the tensor out: lambda x: net(x).logits",
    )


def _forward(callee: Callee, frozen: bool, x: Tensor) -> Any:
    if frozen and isinstance(callee.function, nn.Module):
        return functional_call(callee.function, {n: p.detach() for n, p in callee.function.named_parameters()}, (x,))
    return callee.function(x)


def result(callee: Callee, made: Run, extents: Sequence[int | None], rest: int) -> Tensor:
    """What a model gave, checked against its type; the dimensions of its own ``...`` become one.

    Args:
        extents: what is known of each dimension; None where the model decides.
        rest: the place of its own ``...`` among them, or -1.
    """
    y, fixed = made.result, len(extents) - (rest >= 0)
    fits = y.dim() == fixed if rest < 0 else y.dim() >= fixed
    if fits and rest >= 0:
        behind = fixed - rest
        y = y.reshape(*y.shape[:rest], -1, *y.shape[y.dim() - behind :]) if y.numel() else _merged(y, rest, behind)
    if fits and all(known in (None, there) for known, there in zip(extents, y.shape, strict=True)):
        return y
    wanted = ", ".join("..." if place == rest else "any" if n is None else str(n) for place, n in enumerate(extents))
    raise ModelError(
        callee.name,
        f"the model '{callee.name}' gave a result of another shape than its type says",
        f"({wanted}), for {callee.type}",
        str(tuple(made.result.shape)),
        "the type in the objective's header says what the model takes and gives",
    )


def _merged(y: Tensor, rest: int, behind: int) -> Tensor:
    """``reshape(..., -1, ...)`` where there is no element to tell the extent by."""
    count = 1
    for extent in y.shape[rest : y.dim() - behind]:
        count *= extent
    return y.reshape(*y.shape[:rest], count, *y.shape[y.dim() - behind :])


def unmerged(x: Tensor, place: int, made: Run, rest: int, behind: int) -> Tensor:
    """The dimensions of a model's own ``...`` again, where another model takes its result."""
    shape = made.result.shape
    own = shape[rest : len(shape) - behind]
    return x.reshape(*x.shape[:place], *own, *x.shape[place + 1 :])


def vjp(made: Run, places: Sequence[int], g: Tensor, rows: int, live: bool, tracked: bool) -> tuple[Tensor, ...]:
    """The cotangents of some operands. Of ``g`` the first ``rows`` dimensions are rows, each a cotangent of its own."""
    wanted = [made.operands[place] for place in places]
    create = tracked or (live and made.live)
    each = g.reshape(-1, *made.result.shape).to(made.result.dtype)
    made.gate.closed = True
    try:
        with torch.enable_grad():
            found = [_gradients(made.result, wanted, row, create) for row in each.unbind(0)]
    finally:
        made.gate.closed = False
    if not rows:
        return found[0]
    shape = g.shape[:rows]
    if not found:
        return tuple(x.new_zeros((*shape, *x.shape)) for x in wanted)
    return tuple(torch.stack(of).reshape(*shape, *of[0].shape) for of in zip(*found, strict=True))


def _gradients(y: Tensor, wanted: Sequence[Tensor], g: Tensor, create: bool) -> tuple[Tensor, ...]:
    found = torch.autograd.grad(y, wanted, g, create_graph=create, retain_graph=True, allow_unused=True)
    given = zip(wanted, cast("tuple[Tensor | None, ...]", found), strict=True)
    return tuple(torch.zeros_like(x) if one is None else one for x, one in given)


def operand(made: Run, g: Tensor) -> Tensor:
    """A cotangent that is differentiated by."""
    return _operand(g, made.gate, made.live)


def derived(made: Run, g: Tensor, cotangent: Tensor) -> Run:
    """A derivative as a run of its own: it can be differentiated by the operands and by its cotangent."""
    return Run((*made.operands, g), cotangent, made.live, made.gate)
