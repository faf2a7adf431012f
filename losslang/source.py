"""Source texts and places in them, and where the grammar and the library lie on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


def decoded(data: bytes) -> str:
    r"""The text in the bytes of a file: UTF-8 with or without a mark, its line ends as ``\n``.

    Raises:
        UnicodeDecodeError: for bytes that are no UTF-8.
    """
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Source:
    """A text and the name that diagnostics give it (a path, or ``<expression>``)."""

    name: str
    text: str = field(repr=False)
    library: bool = field(default=False, repr=False)
    """Whether it is a file of the standard library, which no reader of a message can mend."""
    host: Source | None = field(default=None, repr=False, compare=False)
    """The config in which the text stands, maybe folded or quoted."""
    offsets: tuple[int, ...] = field(default=(), repr=False, compare=False)
    """Where each of its characters stands in the host."""

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of the first character of every line."""
        return [0, *(i + 1 for i, char in enumerate(self.text) if char == "\n")]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1) of a character offset."""
        starts = self.line_starts
        low, high = 0, len(starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if starts[middle] <= offset else (low, middle)
        return low + 1, offset - starts[low] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1), without its newline."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


SHOWN = 40
"""The longest text that a message quotes."""


@dataclass(frozen=True)
class Span:
    """A stretch ``[start, end)`` of a source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters it covers."""
        return self.source.text[self.start : self.end]

    @property
    def quoted(self) -> str:
        """The characters in quotes; "this" where nobody would read them."""
        return f"'{self.text}'" if 0 < self.end - self.start <= SHOWN and "\n" not in self.text else "this"

    @property
    def place(self) -> Span:
        """Where a reader finds it: in the file around its text, where there is one."""
        host, offsets = self.source.host, self.source.offsets
        if host is None or not offsets:
            return self
        start = offsets[self.start] if self.start < len(offsets) else offsets[-1] + 1
        end = offsets[min(self.end, len(offsets)) - 1] + 1 if self.end > self.start else start
        return Span(host, start, max(start, end))

    def __str__(self) -> str:
        place = self.place
        line, column = place.source.position(place.start)
        return f"{place.source.name}:{line}:{column}"

    def to(self, other: Span) -> Span:
        """The stretch from the start of this span to the end of another."""
        return Span(self.source, self.start, other.end)


NOWHERE = Span(Source("<generated>", ""), 0, 0)


def folder(name: str) -> Path:
    """The folder ``grammar`` or ``stdlib``: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
