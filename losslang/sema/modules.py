"""Finds definitions: the standard library's files, indexed by a cheap scan and parsed one definition at a time.

Non-goal: reading any file that a text names. A text of a user is data; it reaches the library and itself, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TypeAlias

from losslang.diagnostics import Label, did_you_mean, error
from losslang.source import Source, folder
from losslang.syntax import ast, parser

Item: TypeAlias = ast.Definition | ast.Alias


@dataclass(frozen=True, eq=False)
class Entry:
    """A definition that is parsed when it is first wanted."""

    keyword: str
    name: str
    source: Source
    start: int
    end: int

    @property
    def family(self) -> str:
        """The file that holds it, without suffix."""
        return self.source.name.removesuffix(".loss").rpartition("/")[2]

    @cached_property
    def item(self) -> Item:
        """Its tree."""
        parsed = parser.parse_definition(self.source, self.start, self.end)
        assert not isinstance(parsed, ast.Use)
        return parsed


@dataclass(frozen=True, eq=False)
class Library:
    """All definitions of the standard library, by name."""

    entries: dict[str, Entry]

    def find(self, name: str) -> Item | None:
        """The definition of a name, or None."""
        entry = self.entries.get(name)
        return entry.item if entry is not None else None

    def families(self) -> set[str]:
        """The names that ``use`` knows."""
        return {entry.family for entry in self.entries.values()}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())


@cache
def library() -> Library:
    """The standard library, scanned once."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder("stdlib").glob("*.loss")):
        source = Source(f"stdlib/{path.name}", path.read_text(encoding="utf-8"))
        for keyword, name, start, end in parser.index_module(source):
            if keyword != "use":
                entries[name] = Entry(keyword, name, source, start, end)
    return Library(entries)


@dataclass(frozen=True, eq=False)
class Environment:
    """The names a text can use: its own definitions, then the library's."""

    own: dict[str, Item] = field(default_factory=dict[str, "Item"])

    def find(self, name: str) -> Item | None:
        """The definition of a name, or None."""
        return self.own.get(name) or library().find(name)

    def names(self) -> list[str]:
        """Every name, for suggestions."""
        return [*self.own, *library().entries]

    def home(self, item: Item) -> Environment:
        """Where the names in a definition's body are looked up: the library does not see a user's file."""
        return self if self.own.get(item.name) is item else LIBRARY_ONLY


LIBRARY_ONLY = Environment()


def environment(module: ast.Module) -> Environment:
    """The names of a user's file.

    Raises:
        LosslangError: LL0205 for a name defined twice, LL0209 for an unknown module.
    """
    own: dict[str, Item] = {}
    for item in module.items:
        if isinstance(item, ast.Use):
            _check_use(item)
            continue
        if item.name in own:
            raise error(
                "LL0205",
                f"'{item.name}' is defined twice in this file",
                item.span,
                expected="one definition for each name",
                labels=[Label(own[item.name].span, "first here")],
                hint="give one of them another name",
            )
        own[item.name] = item
    return Environment(own)


def _check_use(use: ast.Use) -> None:
    name = ".".join(use.path)
    families = library().families()
    if name not in families:
        raise error(
            "LL0209",
            f"there is no module '{name}'",
            use.span,
            expected="one of " + ", ".join(sorted(families)),
            found=name,
            hint=did_you_mean(name, families) or "a text reaches the library and itself, and reads no other file",
        )
