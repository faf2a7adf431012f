"""Where reading goes on after a syntax error: at the next definition, the next line of a body, the next ``+``.

A text is taken apart along these places, and each part is read by itself. If the parts together show the error that
the whole has, they were the right ones, and what the others show is told in the same run; else the first error stands
alone, since an error that another one caused teaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from losslang.diagnostics import MOST, Diagnostic, LosslangError
from losslang.source import Source
from losslang.syntax.lexical import Lexeme, lexemes


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a source and what it is read as."""

    rule: str
    """A start rule of the grammar, or ``line`` for an expression in a body."""
    start: int
    end: int
    tail: str = ""
    """What stands for the rest that is cut off."""


Read = Callable[[Part], object]
"""Reads a part of the source that is at hand.

Raises:
    LosslangError: where it does not parse.
"""


def every_error(parts: list[Part], whole: LosslangError, read: Read, source: Source) -> LosslangError:
    """The errors of all parts of a text, where one of them is that of the whole; else that of the whole."""
    found: list[Diagnostic] = []
    for part in parts:
        if len(found) < MOST:
            found += _errors(part, read, source)
    places = {_place(one): one for one in whole.diagnostics}
    if not places.keys() <= {_place(one) for one in found}:
        return whole
    return LosslangError([places.get(_place(one), one) for one in found])


def _errors(part: Part, read: Read, source: Source) -> tuple[Diagnostic, ...]:
    try:
        read(part)
    except LosslangError as failure:
        return every_error(parts_of(source, part), failure, read, source).diagnostics
    return ()


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    return diagnostic.code, -1 if diagnostic.span is None else diagnostic.span.start


# ------------------------------------------------------------------------------------------ parts
def parts_of(source: Source, part: Part) -> list[Part]:
    """What a definition or an expression is made of; nothing where it cannot be taken apart."""
    words = [word for word in lexemes(source.text, part.start, part.end) if word.kind != "comment"]
    outer = list(_outside_brackets(words))
    if part.tail or not words or sum(word.kind == "open" for word in words) != sum(w.kind == "close" for w in words):
        return []
    if part.rule == "file":
        return _statements(source.text, part, outer)
    return _terms(part, outer)


def _outside_brackets(words: list[Lexeme]) -> Iterator[Lexeme]:
    """The words that stand in no bracket, and the brackets themselves."""
    depth = 0
    for word in words:
        depth -= word.kind == "close"
        if depth <= 0:
            yield word
        depth += word.kind == "open"


def _statements(text: str, part: Part, outer: list[Lexeme]) -> list[Part]:
    """The header of a definition, and the lines of its body."""
    colon = next((word for word in outer if word.text == ":"), None)
    if colon is None:
        return []
    body = [word for word in outer if word.start >= colon.end]
    starts = [word for place, word in enumerate(body) if not place or _begins_line(text, word)]
    ends = [*(word.start for word in starts[1:]), *([part.end] if starts else [])]
    return [
        Part("file", part.start, colon.end, " 0"),
        *(Part(_rule(text, word), word.start, end) for word, end in zip(starts, ends, strict=True)),
    ]


def _begins_line(text: str, word: Lexeme) -> bool:
    """Whether a word begins a statement: the first of its line, unless it carries on the one before."""
    line = text.rfind("\n", 0, word.start) + 1
    return not text[line : word.start].strip() and word.text not in ("+", "*", "/", "|") and word.kind != "close"


def _rule(text: str, word: Lexeme) -> str:
    """A line at the margin is no part of a body."""
    return "file" if text[word.start - 1] == "\n" else "statement"


def _terms(part: Part, outer: list[Lexeme]) -> list[Part]:
    """The terms of a sum; a conditional is none."""
    if any(word.text in ("if", "else") for word in outer):
        return []
    equals = next((word.end for word in outer if word.text == "="), part.start)
    starts, ends = [equals], list[int]()
    for before, word in zip(outer, outer[1:], strict=False):
        if word.text in ("+", "-") and word.start > equals and word is not outer[-1] and _ends_operand(before):
            starts.append(word.end)
            ends.append(word.start)
    ends.append(part.end)
    rule = part.rule if part.rule == "expression" else "line"
    return [Part(rule, start, end) for start, end in zip(starts, ends, strict=True)] if len(starts) > 1 else []


def _ends_operand(word: Lexeme) -> bool:
    joining = word.text in ("and", "or", "not", "in", "as")
    return word.kind in ("close", "name", "number", "string", "quoted") and not joining
