"""Batches for trying an objective: read from a file, or made up from its signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from losslang.runtime.module import InputSpec, Objective

EXTENTS = {"b": 4, "i": 8, "c": 5, "d": 16, "h": 64, "w": 64}
"""Extents of the axes of a made-up batch; of any other axis it is `OTHER`."""

OTHER = 8


class BatchError(Exception):
    """A file that holds no batch; the text says why."""


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of an ``.npz`` or ``.pt`` file, read as data: no code that a file might carry is run.

    Raises:
        BatchError: where the file is not there or holds anything else.
    """
    if path.suffix not in (".npz", ".pt", ".pth"):
        raise BatchError(f"{path}: a batch is an .npz file, or a .pt file that holds a dict of tensors")
    try:
        return _read_npz(path) if path.suffix == ".npz" else _read_torch(path)
    except OSError as problem:
        raise BatchError(f"{path}: {problem.strerror or problem}") from problem
    except BatchError:
        raise
    except Exception as problem:
        # Both readers raise whatever their own readers raise on a file that is something else.
        raise BatchError(f"{path} is no file of arrays ({type(problem).__name__})") from problem


def _read_npz(path: Path) -> dict[str, Tensor]:
    import numpy as np
    import torch

    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _read_torch(path: Path) -> dict[str, Tensor]:
    import torch

    held = cast(object, torch.load(path, map_location="cpu", weights_only=True))
    if not isinstance(held, Mapping):
        raise BatchError(f"{path} holds a {type(held).__name__}, not a dict of tensors")
    found = cast("Mapping[object, object]", held)
    return {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}


def made_up(objective: Objective, seed: int = 0) -> dict[str, Tensor]:
    """A seeded batch that fits the objective's signature; ``...`` stands for no dimension."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    bound = objective.bind
    return {spec.key(bound): _tensor(spec, generator) for spec in objective.signature}


def extent(name: str) -> int:
    """How long an axis of a made-up batch is: ``b_2`` is as long as ``b``."""
    stem, _, number = name.rpartition("_")
    return EXTENTS.get(stem if number.isdigit() and stem else name, OTHER)


def _tensor(spec: InputSpec, generator: torch.Generator) -> Tensor:
    import torch

    axes = [dim for dim in spec.dims if not dim.rest]
    shape = [dim.size if dim.size is not None else extent(dim.name) for dim in axes]
    if spec.dtype == "int":
        top = spec.classes or (extent(spec.bound) if spec.bound is not None else 4)
        return torch.randint(0, top, shape, generator=generator)
    if spec.dtype == "bool":
        return torch.rand(shape, generator=generator) > 0.5
    classes = next((place for place, dim in enumerate(axes) if dim.name.partition("_")[0] == "c"), None)
    return _real(spec, torch.randn(shape, generator=generator), classes)


def _real(spec: InputSpec, x: Any, classes: int | None) -> Tensor:
    """Standard normal numbers as what a kind means."""
    match spec.kind:
        case "prob":
            return x.sigmoid() if classes is None else x.softmax(classes)
        case "logprob":
            return -x.abs() if classes is None else x.log_softmax(classes)
        case "unit":
            return x / x.norm(dim=-1, keepdim=True)
        case "box":
            corners = x.sigmoid().unflatten(-1, (2, -1)).cumsum(-2)  # the second corner is beyond the first
            return corners.flatten(-2)
        case "image":
            low, high = spec.range or (0.0, 1.0)
            return x.sigmoid() * (high - low) + low
        case _:
            return x
