"""TOML with the places of its values: `tomllib` says whether it is right, a scan where everything stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TypeAlias

from losslang.config.tree import Entry, Node, aligned, scalar, twice, unreadable
from losslang.source import Source, Span


def read(source: Source) -> Node:
    """The tree of a TOML text.

    Raises:
        LosslangError: LL0706 where it is no TOML, LL0708 for a key that is given twice.
    """
    try:
        tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as problem:
        raise _wrong(source, str(problem)) from None
    except (RecursionError, ValueError):
        raise unreadable("TOML", "it nests too deeply, or holds too long a number", Span(source, 0, 1)) from None
    return _Scanner(source).document()


def _wrong(source: Source, message: str) -> Exception:
    why, _, place = message.partition(" (at ")
    match = re.match(r"line (\d+), column (\d+)", place)
    at = len(source.text.rstrip())
    if match is not None:
        at = source.line_starts[int(match.group(1)) - 1] + int(match.group(2)) - 1
    again = re.search(r"Cannot (?:overwrite|declare)|Duplicate|Cannot redefine", why)
    if again:
        start = source.text.rfind("\n", 0, max(at - 1, 0)) + 1
        key = re.match(r"[ \t]*\[*([^=\]\n]+?)[ \t]*(?:\]|=|$)", source.text[start:])
        return twice(key.group(1) if key else "a key", Span(source, start, max(at, start + 1)))
    return unreadable("TOML", why, Span(source, at, at + 1))


# ------------------------------------------------------------------------------------------ a tree that grows
@dataclass
class _Table:
    """A table while it is read: dotted keys and headers come back to it."""

    span: Span
    entries: dict[str, tuple[Span, _Value]] = field(default_factory=dict[str, "tuple[Span, _Value]"])


@dataclass
class _Tables:
    """An array of tables."""

    span: Span
    tables: list[_Table] = field(default_factory=list[_Table])


_Value: TypeAlias = "Node | _Table | _Tables"


def _finished(value: _Value) -> Node:
    match value:
        case Node():
            return value
        case _Table(span=span, entries=entries):
            return Node(
                tuple(Entry(key, at, _finished(inner)) for key, (at, inner) in entries.items()), span, "mapping"
            )
        case _Tables(span=span, tables=tables):
            return Node(tuple(map(_finished, tables)), span, "list")


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WORD = re.compile(r"[^,\]}\n#]+")
_STRINGS = (('"""', True), ("'''", False), ('"', True), ("'", False))
"""The quotes of texts, and whether escapes count within them."""


class _Scanner:
    """Walks over a text that is known to be right."""

    def __init__(self, source: Source) -> None:
        self.source, self.text, self.at = source, source.text, 0

    def document(self) -> Node:
        """The whole text."""
        root = table = _Table(Span(self.source, 0, len(self.text)))
        self.skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header(root)
            else:
                self.pair(table)
            self.skip()
        return _finished(root)

    def skip(self) -> None:
        """Over blanks, line breaks and comments."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def header(self, root: _Table) -> _Table:
        """``[a.b]`` or ``[[a.b]]``."""
        start = self.at
        several = self.text.startswith("[[", start)
        self.at += 2 if several else 1
        keys = self.keys()
        self.at = self.text.index("]", self.at) + (2 if several else 1)
        span = Span(self.source, start, self.at)
        *path, (last, place) = keys
        table = self.into(root, path)
        if several:
            found = table.entries.setdefault(last, (place, _Tables(span)))[1]
            assert isinstance(found, _Tables)
            found.tables.append(_Table(span))
            return found.tables[-1]
        return self.into(table, [(last, place)])

    def into(self, table: _Table, path: list[tuple[str, Span]]) -> _Table:
        """The table that keys lead to, made where it is not there."""
        for key, place in path:
            found = table.entries.setdefault(key, (place, _Table(place)))[1]
            found = found.tables[-1] if isinstance(found, _Tables) else found
            assert isinstance(found, _Table)
            table = found
        return table

    def keys(self) -> list[tuple[str, Span]]:
        """``a."b c".d``."""
        found: list[tuple[str, Span]] = []
        while True:
            self.skip()
            start = self.at
            match = _BARE.match(self.text, start)
            if match is not None:
                self.at = match.end()
                key = match.group()
            else:
                key = str(self.string().value)
            quote = 0 if match is not None else 1
            found.append((key, Span(self.source, start + quote, self.at - quote)))
            self.skip()
            if self.text[self.at] != ".":
                return found
            self.at += 1

    def pair(self, table: _Table) -> None:
        """``key = value``."""
        *path, (last, place) = self.keys()
        self.at = self.text.index("=", self.at) + 1
        self.skip()
        self.into(table, path).entries[last] = (place, self.value())

    def value(self) -> Node:
        """A value of any kind."""
        start, here = self.at, self.text[self.at]
        if here in "\"'":
            return self.string()
        if here == "[":
            return self.array()
        if here == "{":
            return self.inline()
        match = _WORD.match(self.text, start)
        assert match is not None
        word = match.group().rstrip()
        self.at = start + len(word)
        return scalar(tomllib.loads(f"x = {word}")["x"], Span(self.source, start, self.at))

    def string(self) -> Node:
        """A text in any of the four quotes."""
        start = self.at
        quote, escapes = next((q, e) for q, e in _STRINGS if self.text.startswith(q, start))
        at = start + len(quote)
        while not self.text.startswith(quote, at):
            at += 2 if escapes and self.text[at] == "\\" else 1
        while len(quote) == 3 and self.text.startswith(quote, at + 1):
            at += 1  # up to two quotes may end the text itself
        self.at = at + len(quote)
        value = tomllib.loads(f"x = {self.text[start : self.at]}")["x"]
        places = aligned(self.text, start + len(quote), at, value, escapes=escapes)
        return scalar(value, Span(self.source, start, self.at), places)

    def array(self) -> Node:
        """``[a, b]``."""
        start = self.at
        self.at += 1
        items: list[Node] = []
        self.skip()
        while self.text[self.at] != "]":
            items.append(self.value())
            self.skip()
            self.at += self.text[self.at] == ","
            self.skip()
        self.at += 1
        return Node(tuple(items), Span(self.source, start, self.at), "list")

    def inline(self) -> Node:
        """``{a = 1, b.c = 2}``."""
        start = self.at
        self.at += 1
        table = _Table(Span(self.source, start, start + 1))
        self.skip()
        while self.text[self.at] != "}":
            self.pair(table)
            self.skip()
            self.at += self.text[self.at] == ","
            self.skip()
        self.at += 1
        table.span = Span(self.source, start, self.at)
        return _finished(table)
