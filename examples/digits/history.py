"""What a run remembers: one row of numbers per step, kept as tensors until somebody looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Term(Protocol):
    """What an objective reports of each term: detached 0-dim tensors."""

    @property
    def value(self) -> Tensor:
        """The raw loss."""
        ...

    @property
    def weight(self) -> Tensor:
        """What the loss is multiplied with."""
        ...

    @property
    def share(self) -> Tensor:
        """The part of the weighted sum that is this term's."""
        ...


class Numbers(NamedTuple):
    """One term of one step."""

    value: float
    weight: float
    share: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One step, or the mean of several."""

    total: float
    terms: dict[str, Numbers]


@dataclass(slots=True)
class History:
    """A row [1 + 3K] per step (the total; value, weight and share per term), and measurements per epoch."""

    steps_per_epoch: int
    names: list[str] = field(default_factory=list[str])
    rows: list[Tensor] = field(default_factory=list[Tensor])
    accuracy: list[float] = field(default_factory=list[float])
    #: What the objective had learned before the first step, then after each epoch.
    learned: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    #: Seconds: until the first step ended (it holds the compilation), and of the whole loop.
    first_step: float = 0.0
    seconds: float = 0.0

    def record(self, total: Tensor, terms: Mapping[str, Term]) -> None:
        """Keep one step's numbers without waiting for the device."""
        self.names = list(terms)
        numbers = [number for term in terms.values() for number in (term.value, term.weight, term.share)]
        self.rows.append(torch.stack([total.detach(), *numbers]))

    def at(self, step: int) -> Reading:
        """One step as numbers (waits for the device); -1 is the latest."""
        return self.read(self.rows[step])

    def last_epoch(self) -> Reading:
        """The mean over the last epoch as numbers."""
        return self.read(torch.stack(self.rows[-self.steps_per_epoch :]).mean(dim=0))

    def columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Values, weights and shares over the run: each [steps, K]."""
        table = torch.stack(self.rows).cpu()
        return table[:, 1::3], table[:, 2::3], table[:, 3::3]

    def read(self, row: Tensor) -> Reading:
        """A row [1 + 3K] as numbers."""
        total, *rest = row.tolist()
        triples = zip(rest[0::3], rest[1::3], rest[2::3], strict=True)
        return Reading(total, dict(zip(self.names, map(Numbers._make, triples), strict=True)))
