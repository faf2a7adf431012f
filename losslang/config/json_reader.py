"""JSON with the places of its values."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from typing import cast

from losslang.config.tree import Entry, Node, aligned, mapping, scalar, unreadable
from losslang.source import Source, Span

_BLANK = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"[^ \t\n\r,:\[\]{}\"]+")


def read(source: Source) -> Node:
    """The tree of a JSON text.

    Raises:
        LosslangError: LL0706 where it is no JSON, LL0708 for a key that is given twice.
    """
    try:
        json.loads(source.text)
    except json.JSONDecodeError as problem:
        raise unreadable("JSON", problem.msg, Span(source, problem.pos, problem.pos + 1)) from None
    except (RecursionError, ValueError):
        raise unreadable("JSON", "it nests too deeply, or holds too long a number", Span(source, 0, 1)) from None
    return _value(source, _behind(source.text, 0))[0]


def _behind(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _value(source: Source, at: int) -> tuple[Node, int]:
    """The value at a place of a text that is known to be right, and where it ends."""
    text = source.text
    if text[at] == '"':
        return _text(source, at)
    if text[at] == "[":
        return _list(source, at)
    if text[at] == "{":
        return _mapping(source, at)
    match = _WORD.match(text, at)
    assert match is not None
    return scalar(json.loads(match.group()), Span(source, at, match.end())), match.end()


def _text(source: Source, at: int) -> tuple[Node, int]:
    value, end = cast("tuple[str, int]", scanstring(source.text, at + 1, True))
    places = aligned(source.text, at + 1, end - 1, value, escapes=True)
    return scalar(value, Span(source, at, end), places), end


def _list(source: Source, start: int) -> tuple[Node, int]:
    items: list[Node] = []
    at = _behind(source.text, start + 1)
    while source.text[at] != "]":
        item, at = _value(source, at)
        items.append(item)
        at = _next(source.text, at)
    return Node(tuple(items), Span(source, start, at + 1), "list"), at + 1


def _mapping(source: Source, start: int) -> tuple[Node, int]:
    entries: list[Entry] = []
    at = _behind(source.text, start + 1)
    while source.text[at] != "}":
        key, at = _text(source, at)
        value, at = _value(source, _behind(source.text, _behind(source.text, at) + 1))
        inner = Span(source, key.span.start + 1, key.span.end - 1)
        entries.append(Entry(str(key.value), inner, value))
        at = _next(source.text, at)
    return mapping(entries, Span(source, start, at + 1)), at + 1


def _next(text: str, at: int) -> int:
    """Where the next item begins, or the bracket that closes them."""
    at = _behind(text, at)
    return _behind(text, at + 1) if text[at] == "," else at
