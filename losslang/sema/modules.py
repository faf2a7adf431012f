"""Finds definitions: those of a text, of the modules that it uses, and of the standard library.

Modules and the library are indexed by a cheap scan, and parsed one definition at a time, when it is first wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TypeAlias

from losslang.diagnostics import Label, LosslangError, error
from losslang.sema import files, wellformed
from losslang.sema.elsewhere import PACKAGES, meant
from losslang.sema.files import Search
from losslang.source import Source, Span, folder
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

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.source, self.start, self.end)

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
        source = Source(f"stdlib/{path.name}", path.read_text(encoding="utf-8"), library=True)
        for keyword, name, start, end in parser.index_module(source):
            if keyword != "use":
                entries[name] = Entry(keyword, name, source, start, end)
    return Library(entries)


class Definitions(Mapping[str, Item]):
    """The definitions of a module: parsed when first wanted, and checked with those of the module that they need."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries
        self._known: dict[str, Item] = {}

    def __getitem__(self, name: str) -> Item:
        if name not in self._known:
            self._check(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def known(self, name: str) -> Item | None:
        """The definition of a name where it was wanted already."""
        return self._known.get(name)

    def _check(self, name: str) -> None:
        items: dict[str, Item] = {}
        waiting = [self.entries[name].name]
        while waiting:
            one = waiting.pop()
            if one in self.entries and one not in items and one not in self._known:
                items[one] = self.entries[one].item
                waiting += wellformed.needs(items[one])
        wellformed.check(ast.Module(tuple(items.values())))
        self._known |= items


# ------------------------------------------------------------------------------------------ names
@dataclass(frozen=True, eq=False)
class Environment:
    """The names a text can use: its own definitions, those of the modules it uses, then the library's."""

    own: Mapping[str, Item] = field(default_factory=dict[str, "Item"])
    uses: tuple[Link, ...] = ()
    key: str = ""
    """Of a module: the name of its file."""
    reach: dict[str, Environment] = field(default_factory=dict[str, "Environment"])
    """Every module that was read, by its key; shared among them."""
    texts: files.Texts = field(default_factory=dict[tuple[str, str], Source])
    """The texts of these modules."""
    signatures: dict[str, ast.Definition] = field(default_factory=dict[str, "ast.Definition"])
    """Of the aliases that were asked for: a definition with the parameters of what each is made of."""

    def find(self, name: str) -> Item | None:
        """The definition of a name, or None; ``m.name`` is one of the module that is used as ``m``."""
        if ":" in name:  # see `qualified`
            key, _, rest = name.rpartition(":")
            return self.reach[key].find(rest)
        head, dot, rest = name.rpartition(".")
        if dot:
            link = next((link for link in self.uses if link.use.alias == head), None)
            return None if link is None else link.find(rest)
        if name in self.own:
            return self.own[name]
        found = (link.find(name) for link in self.uses if link.use.alias is None)
        return next((item for item in found if item is not None), None) or library().find(name)

    def names(self) -> list[str]:
        """Every name, for suggestions."""
        return [*self.own, *(name for link in self.uses for name in link.written()), *library().entries]

    def balancers(self) -> list[str]:
        """The names of all balancers."""
        used = (name for link in self.uses for name in link.written() if link.keyword(name) == "balancer")
        own = (name for name, item in self.own.items() if keyword_of(item) == "balancer")
        return [*own, *used, *(entry.name for entry in library() if entry.keyword == "balancer")]

    def home(self, item: Item) -> Environment:
        """Where the names in a definition's body are looked up: a module does not see the text that uses it."""
        if self.holds(item):
            return self
        everywhere = (*(link.target for link in self.uses), *self.reach.values())
        return next((module for module in everywhere if module.holds(item)), LIBRARY_ONLY)

    def holds(self, item: Item) -> bool:
        """Whether a definition is one of the text's own."""
        known = self.own.known(item.name) if isinstance(self.own, Definitions) else self.own.get(item.name)
        return known is item

    def qualified(self, expression: ast.Expression) -> ast.Expression:
        """An expression of this module for use in any other text: its names say where they belong."""

        def named(node: ast.Node) -> ast.Node | None:
            if isinstance(node, ast.Name) and self._brings(node.name):
                return replace(node, name=f"{self.key}:{node.name}")
            return None

        return ast.rewritten(expression, named) if self.key else expression

    def written(self, name: str) -> str | None:
        """How the text writes a name that `qualified` made; None where it has no name for it."""
        key, _, rest = name.rpartition(":")
        for link in self.uses:
            if link.target.key == key and link.find(rest) is not None:
                return rest if link.use.alias is None else f"{link.use.alias}.{rest}"
        return None

    def _brings(self, name: str) -> bool:
        return name in self.own or any(name in link.written() for link in self.uses)

    def advice(self, name: str, known: Iterable[str]) -> str | None:
        """What may be meant by a name that is nothing here, where ``known`` ones are something."""
        head, dot, rest = name.rpartition(".")
        foreign = head in PACKAGES
        near = meant(name, [one for one in known if not dot or foreign or "." in one or one == rest])
        if not dot or near is not None:
            return near
        aliases = [link.use.alias for link in self.uses if link.use.alias is not None]
        if head in aliases:
            return f"the module {head} has no '{rest}'"
        return f"functions stand before what they take: {rest}(...); the {rest} of a module needs 'use ... as {head}'"


LIBRARY_ONLY = Environment()


@dataclass(frozen=True, eq=False)
class Link:
    """One ``use``, and what it leads to."""

    use: ast.Use
    target: Environment

    @property
    def names(self) -> list[str]:
        """What the module defines for others."""
        return [name for name in self.target.own if self._keyword(name) != "objective"]

    def written(self) -> list[str]:
        """Its names as the text that uses it writes them."""
        return self.names if self.use.alias is None else [f"{self.use.alias}.{name}" for name in self.names]

    def keyword(self, written: str) -> str:
        """The keyword of one of its names."""
        return self._keyword(written.rpartition(".")[2])

    def _keyword(self, name: str) -> str:
        own = self.target.own
        return own.entries[name].keyword if isinstance(own, Definitions) else keyword_of(own[name])

    def find(self, name: str) -> Item | None:
        """A definition of the module.

        Raises:
            LosslangError: what is wrong with it, at its own place, with the ``use`` as a second one.
        """
        if name not in self.target.own or self._keyword(name) == "objective":
            return None
        try:
            return self.target.own[name]
        except LosslangError as problem:
            raise used(problem, self.use) from None


def keyword_of(item: Item) -> str:
    """``loss``, ``fn``, ``balancer``, ``objective`` or ``alias``."""
    return item.keyword if isinstance(item, ast.Definition) else "alias"


def used(problem: LosslangError, use: ast.Use) -> LosslangError:
    """The error of a module, with the place that uses it."""
    label = Label(use.span, "used here")
    return LosslangError([replace(one, labels=(*one.labels, label)) for one in problem.diagnostics])


# ------------------------------------------------------------------------------------------ reading
def environment(module: ast.Module, search: Search | None = None) -> Environment:
    """The names of a user's file, with those of the modules that it uses.

    Raises:
        LosslangError: LL0205 for a name defined twice, LL0209 for an unknown module, LL07xx for modules that clash,
            that need each other, or that lie where nothing may be read.
    """
    own: dict[str, Item] = {}
    for item in module.items:
        if isinstance(item, ast.Use):
            continue
        if item.name in own:
            raise _twice(item.name, item.span, own[item.name].span)
        own[item.name] = item
    return Loader(search or Search()).whole(own, [item for item in module.items if isinstance(item, ast.Use)], module)


class Loader:
    """Reads the modules of one text, each once."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.modules: dict[str, Environment] = {}
        self.read: dict[tuple[str, str], Source] = {}
        self._open: list[str] = []
        """The files that are being read, each of which uses the next."""

    def whole(self, own: dict[str, Item], uses: list[ast.Use], module: ast.Module) -> Environment:
        """The environment of the text itself."""
        file = self.search.file
        self._open = [] if file is None else [str(file)]
        links = self._links(uses, module.span.source, None if file is None else file.parent)
        if any(keyword_of(item) == "objective" for item in own.values()):
            _check_library(own)
        _check_clashes({name: item.span for name, item in own.items()}, links)
        return Environment(own, links, reach=self.modules, texts=self.read)

    def _links(self, uses: list[ast.Use], source: Source, beside: Path | None) -> tuple[Link, ...]:
        _check_aliases(uses)
        return tuple(Link(use, self._target(use, source, beside)) for use in uses)

    def _target(self, use: ast.Use, source: Source, beside: Path | None) -> Environment:
        family = None if use.is_file else use.target
        found = self._found(use, source, beside)
        if family in library().families():
            if found is not None:
                raise _two_modules(use, found)
            return _family(family)
        if found is None:
            raise files.unknown(use, sorted(library().families()), self.search)
        if found.name not in self.modules:
            self._check_circle(use, found.name)
            self._open.append(found.name)
            try:
                self.modules[found.name] = self._module(found)
            except LosslangError as problem:
                raise used(problem, use) from None
            finally:
                self._open.pop()
        return self.modules[found.name]

    def _found(self, use: ast.Use, source: Source, beside: Path | None) -> Source | None:
        """The text that a ``use`` means; None where there is no such file."""
        place = source.name, use.target
        if self.search.texts is not None:
            return self.search.texts.get(place)
        path = self.search.locate(use, beside)
        if path is None:
            return None
        known = next((text for text in self.read.values() if _same_file(text.name, path)), None)
        if known is None and self._open and _same_file(self._open[0], path):
            known = Source(self._open[0], "")  # the text itself: a circle, which is refused before it is read
        self.read[place] = known or files.read(use, path)
        return self.read[place]

    def _module(self, source: Source) -> Environment:
        """A module, indexed; where a line begins nothing, parsed as a whole, for what is wrong with it."""
        entries: dict[str, Entry] = {}
        uses: list[ast.Use] = []
        if _LOOSE.search(source.text):
            wellformed.check(parser.parse_module(source))
        for keyword, name, start, end in parser.index_module(source):
            if keyword == "use":
                item = parser.parse_definition(source, start, end)
                assert isinstance(item, ast.Use)
                uses.append(item)
                continue
            entry = Entry(keyword, name, source, start, end)
            if name in entries:
                raise _twice(name, entry.span, entries[name].span)
            entries[name] = entry
        links = self._links(uses, source, Path(source.name).parent)
        _check_clashes({name: entry.span for name, entry in entries.items()}, links)
        return Environment(Definitions(entries), links, source.name, self.modules)

    def _check_circle(self, use: ast.Use, name: str) -> None:
        names = self._open
        if name not in names:
            return
        circle = names[names.index(name) :]
        chain = " -> ".join(Path(one).name for one in [*circle, name])
        raise error(
            "LL0701",
            f"the module '{use.target}' needs itself: {chain}",
            use.span,
            expected="modules of which none leads back to itself",
            hint="move what both need into a third file",
        )


_LOOSE = re.compile(
    r"^(?![ \t\n\r#+*/|@)\]]|(?:loss|fn|balancer|objective|use)[ \t]|[^\W\d]\w*[ \t]*=(?!=)).", re.MULTILINE
)
"""A line at the margin that begins no definition."""


def _same_file(name: str, path: Path) -> bool:
    return Path(name) == path or Path(name).resolve() == path.resolve()


@cache
def _family(name: str) -> Environment:
    """A family of the library as a module."""
    return Environment(Definitions({entry.name: entry for entry in library() if entry.family == name}))


# ------------------------------------------------------------------------------------------ clashes
def _twice(name: str, span: Span, first: Span) -> LosslangError:
    return error(
        "LL0205",
        f"'{name}' is defined twice in this file",
        span,
        expected="one definition for each name",
        labels=[Label(first, "first here")],
        hint="give one of them another name",
    )


def _check_aliases(uses: list[ast.Use]) -> None:
    seen: dict[str, ast.Use] = {}
    for use in uses:
        name = use.alias or use.target
        if name in seen:
            raise error(
                "LL0205",
                f"two modules are named '{name}'" if use.alias else f"'{name}' is used twice",
                use.span,
                expected="a name of its own for each module",
                labels=[Label(seen[name].span, "first here")],
                hint=f"use {use.target} as {name}_2" if use.alias else "remove one of them",
            )
        seen[name] = use


def _check_library(own: Mapping[str, Item]) -> None:
    """Where an objective stands, a loss of the library's name is that of the library."""
    entries = library().entries
    for name, item in own.items():
        if _hides(name, keyword_of(item)) and item != entries[name].item:
            message = f"'{name}' is the name of a definition of the library"
            hint = f"call it my_{name}, or keep it in a module: after 'use mine as m' it is m.{name}"
            raise _clash(message, item.span, _in_library(name), hint)


def _hides(name: str, keyword: str) -> bool:
    """Whether a definition hides one of the library; the helpers of each are its own affair."""
    entry = library().entries.get(name)
    return entry is not None and not (keyword == "fn" and entry.keyword == "fn")


def _in_library(name: str) -> str:
    entry = library().entries[name]
    return f"{entry.keyword} {name} of the library ({entry.family})"


def _check_clashes(spans: Mapping[str, Span], links: tuple[Link, ...]) -> None:
    """What modules bring in means one thing: it hides nothing of the text, of another module, or of the library."""
    taken: dict[str, Link | None] = dict.fromkeys(spans)
    for link in links:
        if link.use.alias is not None or not link.target.key:
            continue
        for name in link.names:
            hint = f"use {link.use.target} as {_short(link.use)}, and write {_short(link.use)}.{name}"
            if name in taken:
                other = taken[name]
                place = spans[name] if other is None else other.use.span
                what = "this file" if other is None else f"the module '{other.use.target}'"
                raise _clash(
                    f"'{name}' is defined by the module '{link.use.target}' and by {what}",
                    link.use.span,
                    name,
                    hint,
                    [Label(place, "and here")],
                )
            if _hides(name, link.keyword(name)):
                message = f"'{name}' is defined by the module '{link.use.target}' and by the library"
                raise _clash(message, link.use.span, _in_library(name), hint)
            taken[name] = link


def _clash(message: str, span: Span, found: str, hint: str, labels: Iterable[Label] = ()) -> LosslangError:
    return error("LL0703", message, span, expected="one meaning for each name", found=found, hint=hint, labels=labels)


def _short(use: ast.Use) -> str:
    """A name for a module that gives none itself."""
    return re.sub(r"\W", "_", Path(use.target).stem if use.is_file else use.path[-1])


def _two_modules(use: ast.Use, found: Source) -> LosslangError:
    return error(
        "LL0703",
        f"'{use.target}' is a module of the library, and a file beside this one",
        use.span,
        expected="one module of that name",
        found=found.name,
        hint=f"a file is named by its place: use ./{use.target}.loss as my_{use.target}",
    )
