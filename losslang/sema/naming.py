"""Names of which no two are alike."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Names:
    """The names that are taken; one more like a taken one is numbered: ``b``, ``b_2``, ``b_3``."""

    taken: set[str] = field(default_factory=set[str])
    _next: dict[str, int] = field(default_factory=dict[str, int])

    def unique(self, wanted: str) -> str:
        """The name, numbered where it is taken; ten thousand alike take ten thousand steps."""
        name, number = wanted, self._next.get(wanted, 2)
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self._next[wanted] = number
        self.taken.add(name)
        return name
