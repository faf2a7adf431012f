"""Feature networks as the compiler's front half knows them: names, channels, where the weights come from.

The networks themselves are in ``runtime/nets.py``, which stands alone because its text goes into exported
objectives; a test holds equal what both files say. ``nets.NetSpec(*dataclasses.astuple(spec))`` crosses over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

TAPS: dict[str, tuple[int, ...]] = {
    "vgg16": (64, 128, 256, 512, 512),
    "alexnet": (64, 192, 384, 256, 256),
    "squeezenet1_1": (64, 128, 256, 384, 384, 512, 512),
}
"""Channels of each feature map that a network returns, by its full name."""

ALIASES: dict[str, str] = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}
"""Short names, and the full names they stand for."""


def canonical(name: str) -> str:
    """The full name of a network; any other name comes back as it is."""
    return ALIASES.get(name, name)


@dataclass(frozen=True)
class NetSpec:
    """A network and its weights: ``public`` (downloaded), ``path`` (a file) or ``random`` (from a seed)."""

    name: str
    weights: str = "public"
    seed: int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        given = {"public": (True, True), "random": (False, True), "path": (True, False)}.get(self.weights)
        if given != (self.seed is None, self.path is None):
            raise ValueError(f"weights={self.weights!r} does not go with seed={self.seed}, path={self.path!r}")

    def __str__(self) -> str:
        match self.weights:
            case "random":
                return f"{self.name}(weights=random(seed={self.seed}))"
            case "path":
                return f"{self.name}(weights={json.dumps(self.path, ensure_ascii=False)})"
            case _:
                return self.name

    def canonical(self) -> NetSpec:
        """The same network under its full name: equal specs are one network."""
        return replace(self, name=canonical(self.name))
