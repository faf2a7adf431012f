"""What a module keeps from call to call: stored values and clocks as buffers, and the numbers drawn for each call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from losslang.diagnostics import error
from losslang.runtime.checks import Dim, InputSpec

DTYPES = {"int": torch.int64, "bool": torch.bool}


@dataclass(frozen=True)
class StateSpec:
    """A stored value: its key (``term.name``), its axes, and what its numbers are stored as."""

    key: str
    dims: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True)
class DrawSpec:
    """Random numbers for each call: ``normal``, ``uniform`` or ``permutation`` (along the last axis)."""

    key: str
    name: str
    dims: tuple[Dim, ...]


@dataclass(frozen=True)
class Needs:
    """What a program takes besides inputs and learned values, in this order."""

    states: tuple[StateSpec, ...] = ()
    clocks: tuple[str, ...] = ()
    draws: tuple[DrawSpec, ...] = ()


# ------------------------------------------------------------------------------------------ extents
@dataclass(frozen=True)
class Place:
    """Where the extent of an axis is read: a dimension of an input, counted from the front or the back."""

    input: int
    before: int
    behind: int
    rest: bool


class Extents:
    """How long the axes of stored and drawn values are, from the inputs of a call."""

    def __init__(self, inputs: Sequence[InputSpec]) -> None:
        self.places: dict[str, Place] = {}
        for number, spec in enumerate(inputs):
            rest = next((place for place, dim in enumerate(spec.dims) if dim.rest), len(spec.dims))
            for place, dim in enumerate(spec.dims):
                behind = len(spec.dims) - place if place > rest else 0
                last = len(spec.dims) - place - 1
                found = Place(number, place, last if dim.rest else behind, dim.rest)
                self.places.setdefault(dim.name, found)

    def shape(self, dims: Sequence[Dim], tensors: Sequence[Tensor]) -> tuple[int, ...]:
        """The shape of a value with these axes."""
        return tuple(length for dim in dims for length in self._lengths(dim, tensors))

    def _lengths(self, dim: Dim, tensors: Sequence[Tensor]) -> Sequence[int]:
        if dim.size is not None:
            return (dim.size,)
        place = self.places[dim.name]
        shape = tensors[place.input].shape
        if place.rest:
            return shape[place.before : len(shape) - place.behind]
        return (shape[-place.behind if place.behind else place.before],)


# ------------------------------------------------------------------------------------------ buffers
class Stored(nn.Module):
    """Buffers under the names in their keys: ``moco.queue`` is ``queue`` in the holder ``moco``.

    A buffer has no value before the first training call; it takes the shape of what is loaded or stored.
    """

    def declare(self, key: str) -> None:
        """A place for a value."""
        first, _, rest = key.partition(".")
        if rest:
            self._modules.setdefault(first, Stored())
            self._holder(first).declare(rest)
        else:
            self._buffers[first] = None

    def __getitem__(self, key: str) -> Tensor | None:
        """The value under a key, or None before the first training call."""
        first, _, rest = key.partition(".")
        return self._holder(first)[rest] if rest else self._buffers[first]

    def __setitem__(self, key: str, value: Tensor) -> None:
        first, _, rest = key.partition(".")
        if rest:
            self._holder(first)[rest] = value
        else:
            self._buffers[first] = value

    def _holder(self, name: str) -> Stored:
        held = self._modules[name]
        assert isinstance(held, Stored)
        return held

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take the shapes of what is loaded: they are those of the batches it came from."""
        for name in self._buffers:
            loaded = state_dict.get(prefix + name)
            if isinstance(loaded, Tensor):
                self._buffers[name] = torch.empty_like(loaded)
        rest = (local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Clock(nn.Module):
    """How many training calls there were, and the epoch that the trainer has set."""

    def __init__(self) -> None:
        super().__init__()
        self.step: Tensor
        self.epoch: Tensor
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.count: int | None = None
        """The step as a number, once it was asked for: reading the buffer would wait for the device."""

    def number(self) -> int:
        """The step."""
        if self.count is None:
            self.count = int(self.step)
        return self.count

    def advance(self) -> None:
        """One training call more."""
        self.step = self.step + 1
        if self.count is not None:
            self.count += 1

    def follow(self, device: torch.device) -> None:
        """Move to where the inputs are."""
        if self.step.device != device:
            self.to(device)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        rest = (local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.count = None


def current(
    spec: StateSpec, value: Tensor | None, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What a graph takes for a stored value: the value, and whether there is one.

    Raises:
        LosslangError: LL0511 where this batch has other extents than the one it was stored for.
    """
    if value is None:
        wanted = DTYPES.get(spec.dtype, dtype)
        return torch.zeros(shape, dtype=wanted, device=like.device), _flag(False, like.device)
    if tuple(value.shape) != shape:
        raise error(
            "LL0511",
            f"'{spec.key}' was stored with shape {tuple(value.shape)}, and this batch asks for {shape}",
            expected=f"[{', '.join('...' if dim.rest else dim.name for dim in spec.dims)}] = {tuple(value.shape)}",
            found=str(shape),
            hint="batches of one size (drop_last=True), or a value that is reduced over the batch before it is stored",
        )
    return value.to(like.device), _flag(True, like.device)


def _flag(value: bool, device: torch.device) -> Tensor:
    return torch.full((), value, dtype=torch.bool, device=device)


# ------------------------------------------------------------------------------------------ random numbers
def drawn(
    spec: DrawSpec, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype, generator: torch.Generator | None
) -> Tensor:
    """Random numbers on the device of the inputs."""
    if spec.name == "normal":
        return torch.randn(shape, dtype=dtype, device=like.device, generator=generator)
    uniform = torch.rand(shape, dtype=dtype, device=like.device, generator=generator)
    return uniform.argsort(-1) if spec.name == "permutation" else uniform


def generator(seed: int | None, key: str, step: int, device: torch.device) -> torch.Generator | None:
    """Numbers that hang on the seed, the key and the step only: a resumed run draws what the whole run would have.

    Without a seed, torch's own generator of the device draws.
    """
    if seed is None or device.type == "meta":
        return None
    digest = hashlib.blake2b(f"{seed} {key} {step}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "big") >> 1)
