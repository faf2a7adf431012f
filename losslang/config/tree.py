"""A config as a tree of values, each of which knows where it stands in its file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from losslang.diagnostics import Label, LosslangError, error
from losslang.source import Source, Span

Scalar: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True)
class Entry:
    """A key and its value."""

    key: str
    span: Span
    """Of the key."""
    node: Node

    @property
    def whole(self) -> Span:
        """From the key to the end of the value."""
        return self.span.to(self.node.span)


@dataclass(frozen=True)
class Node:
    """A value: a scalar, a list, or a mapping."""

    value: Scalar | tuple[Node, ...] | tuple[Entry, ...]
    span: Span
    kind: str
    """``text``, ``number``, ``bool``, ``none``, ``list``, ``mapping``, or the tag of something else."""
    offsets: tuple[int, ...] = ()
    """Of a text: where each of its characters stands."""
    plain: bool = False
    """A text without quotes: what YAML takes for a text may be meant as a number."""

    @property
    def text(self) -> Source:
        """A text as a source of its own, whose places are those of the config."""
        assert isinstance(self.value, str)
        host = self.span.source
        offsets = self.offsets or (self.span.start,) * max(1, len(self.value))
        return Source(host.name, self.value, host=host, offsets=offsets)

    @property
    def items(self) -> tuple[Node, ...]:
        """The elements of a list."""
        return cast("tuple[Node, ...]", self.value) if self.kind == "list" else ()

    @property
    def several(self) -> tuple[Node, ...]:
        """The elements of a list, or the one value that stands for a list of it."""
        return self.items if self.kind == "list" else (self,)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of a mapping."""
        return cast("tuple[Entry, ...]", self.value) if self.kind == "mapping" else ()

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


def scalar(value: object, span: Span, offsets: tuple[int, ...] = (), *, plain: bool = False) -> Node:
    """The node of a scalar."""
    match value:
        case None:
            return Node(None, span, "none")
        case bool():
            return Node(value, span, "bool")
        case int() | float():
            return Node(value, span, "number")
        case str():
            return Node(value, span, "text", offsets, plain)
        case _:
            return Node(str(value), span, type(value).__name__)


def mapping(entries: Sequence[Entry], span: Span) -> Node:
    """The node of a mapping.

    Raises:
        LosslangError: LL0708 where a key is given twice.
    """
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.key in seen:
            raise twice(entry.key, entry.span, seen[entry.key].span)
        seen[entry.key] = entry
    return Node(tuple(entries), span, "mapping")


def twice(key: str, span: Span, first: Span | None = None) -> LosslangError:
    """The error for a key that is given twice."""
    return error(
        "LL0708",
        f"'{key}' is given twice",
        span,
        expected="one value for each key",
        found=key,
        labels=[Label(first, "first here")] if first is not None else [],
        hint="remove one of them: a reader that takes the last would not say so",
    )


def unreadable(format_: str, why: str, span: Span) -> LosslangError:
    """The error for a file that is not of its format."""
    return error(
        "LL0706",
        f"{span.source.name} is no {format_}: {why}",
        span,
        expected=format_,
        hint=f"what stands before this place may be to blame as well; {_HINTS[format_]}",
    )


_HINTS = {
    "YAML": "a text with ': ' or ' #' in it stands in quotes, or behind '>' on lines of its own",
    "TOML": "texts stand in quotes",
    "JSON": "keys and texts stand in double quotes, and no comma behind the last of them",
}


# ------------------------------------------------------------------------------------------ texts
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "a": "\a", "v": "\v", "e": "\x1b"}
_HEX = {"x": 2, "u": 4, "U": 8}
_PAIR = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
"""Two escapes that stand for one character."""


def aligned(host: str, start: int, end: int, decoded: str, *, escapes: bool) -> tuple[int, ...]:
    """Where each character of a text stands in the stretch of a config that holds it, quoted or folded.

    Both hold the same characters in the same order, but for white space and escapes. Empty where they do not.
    """
    found: list[int] = []
    at = start
    for char in decoded:
        at, place = _find(host, at, end, char, escapes)
        if place < 0:
            return ()
        found.append(place)
    return tuple(found)


def _find(host: str, at: int, end: int, char: str, escapes: bool) -> tuple[int, int]:
    """Behind the next place that stands for a character, and this place (-1 where there is none)."""
    while at < end:
        here = host[at]
        if escapes and here == "\\":
            stands, behind = _escaped(host, at)
            if stands == char:
                return behind, at
            if stands and not stands.isspace():
                return at, -1
            at = behind
        elif here == char or (here.isspace() and char.isspace()):
            return (_behind_fold(host, at, end) if char == " " and here == "\n" else at + 1), at
        elif here.isspace() or (here in "'\"" and char != here):
            at += 1
        else:
            return at, -1
    return at, -1


def _behind_fold(host: str, at: int, end: int) -> int:
    while at < end and host[at].isspace():
        at += 1
    return at


def _escaped(host: str, at: int) -> tuple[str, int]:
    """What an escape stands for (nothing, for a line break that is escaped), and where it ends."""
    mark = host[at + 1 : at + 2]
    pair = _PAIR.match(host, at)
    if pair is not None:
        high, low = (int(half, 16) for half in pair.groups())
        return chr(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00), pair.end()
    if mark in _HEX:
        digits = host[at + 2 : at + 2 + _HEX[mark]]
        try:
            return chr(int(digits, 16)), at + 2 + _HEX[mark]
        except (ValueError, OverflowError):
            return "", at + 2
    if mark == "\n":
        return "", at + 2
    return _ESCAPES.get(mark, mark), at + 2


# ------------------------------------------------------------------------------------------ Python
LARGEST = 100_000
"""Values of a mapping from Python."""


def from_python(value: object) -> Node:
    """A mapping from Python as a config: places are those of its text as JSON, which messages show.

    Raises:
        LosslangError: LL0709 for what no config holds.
    """
    from losslang.config import json_reader

    budget = [LARGEST]
    text = json.dumps(_plain(value, "", budget), indent=2, ensure_ascii=False)
    return json_reader.read(Source("<config>", text))


def _plain(value: object, path: str, budget: list[int]) -> Any:
    """A value made of dicts, lists and scalars; other mappings and sequences (as of OmegaConf) are read like them."""
    budget[0] -= 1
    if budget[0] < 0 or path.count(".") > 50:
        raise _no_value(path, value, "fewer values, less deep")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Mapping):
        found = cast("Mapping[object, object]", value)
        return {_key(key, path): _plain(_item(found, key, path), f"{path}.{key}", budget) for key in found}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(item, f"{path}.{n}", budget) for n, item in enumerate(cast("Sequence[object]", value))]
    return _number(value, path)


def _item(value: Mapping[object, object], key: object, path: str) -> object:
    """A value of a foreign mapping, which may have to be computed (interpolated) and fail."""
    try:
        return value[key]
    except Exception as problem:
        raise _no_value(f"{path}.{key}", type(problem).__name__, f"a value ({problem})") from None


def _number(value: object, path: str) -> int | float:
    from losslang.sema.settings import number_of

    number = number_of(value)
    if number is None:
        raise _no_value(path, value, "numbers, texts, true, false, none, and lists and mappings of them")
    return number


def _key(key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    raise _no_value(f"{path}.{key}", key, "keys that are texts")


def _no_value(path: str, value: object, expected: str) -> LosslangError:
    return error(
        "LL0709",
        f"the config holds at '{path.removeprefix('.')}' what no text says",
        expected=expected,
        found=f"{str(value)[:60]} ({type(value).__name__})",
        hint="tensors are inputs of the objective: their names stand in its text",
    )
