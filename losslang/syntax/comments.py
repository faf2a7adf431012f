"""Where the comments of a file belong: above a line, at its end, or below the last line of a body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from losslang.source import Source
from losslang.syntax import ast
from losslang.syntax.lexical import Lexeme, lexemes


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; ``gap``: an empty line stands before it."""

    text: str
    gap: bool = False


@dataclass(slots=True)
class Unit:
    """What is printed together: a decorator block, a header, a statement, an alias or a use."""

    start: int
    top: bool
    """It begins at the margin."""
    inner: tuple[tuple[int, int], ...] = ()
    """Of a decorator block: the stretches of the decorators."""
    gap: bool = False
    """An empty line stands before it."""
    above: list[Comment] = field(default_factory=list[Comment])
    hoisted: list[Comment] = field(default_factory=list[Comment])
    """Comments from within it: they move above it, where new line breaks cannot touch them."""
    trailing: str = ""
    below: list[Comment] = field(default_factory=list[Comment])

    @property
    def bare_above(self) -> bool:
        """No comment stands above it."""
        return not (self.above or self.hoisted)


def layout(source: Source, module: ast.Module) -> tuple[list[list[Unit]], list[Comment]]:
    """The units of each item in order, with their comments, and the comments at the end of the file."""
    found = list(lexemes(source.text))
    code = [lexeme for lexeme in found if lexeme.kind != "comment"]
    items = [list(_units(item, code)) for item in module.items]
    flat = [unit for units in items for unit in units]
    tail: list[Comment] = []
    for unit in flat:
        unit.gap = _gap(source.text, unit.start)
    ends = _ends(flat, code)
    at = -1
    for lexeme in found:
        if lexeme.kind == "comment":
            while at + 1 < len(flat) and flat[at + 1].start <= lexeme.start:
                at += 1
            _place(source.text, lexeme, flat, ends, at, tail)
    return items, tail


def _units(item: ast.Use | ast.Definition | ast.Alias, code: list[Lexeme]) -> Iterator[Unit]:
    start = item.span.start
    if not isinstance(item, ast.Use) and item.decorators:
        inner = tuple((decorator.span.start, decorator.span.end) for decorator in item.decorators)
        yield Unit(start, top=True, inner=inner)
        behind = item.decorators[-1].span.end
        start = next(lexeme.start for lexeme in code if lexeme.start >= behind)
    yield Unit(start, top=True)
    if isinstance(item, ast.Definition):
        for statement in (*item.bindings, item.value):
            yield Unit(statement.span.start, top=False)


def _ends(flat: list[Unit], code: list[Lexeme]) -> list[int]:
    """Where the code of each unit ends: before the start of the next one."""
    ends: list[int] = []
    at = 0
    for following in [*(unit.start for unit in flat[1:]), None]:
        while at + 1 < len(code) and (following is None or code[at + 1].start < following):
            at += 1
        ends.append(code[at].end if code else 0)
    return ends


def _place(text: str, lexeme: Lexeme, flat: list[Unit], ends: list[int], at: int, tail: list[Comment]) -> None:
    comment = Comment(lexeme.text.rstrip(), _gap(text, lexeme.start))
    column = lexeme.start - (text.rfind("\n", 0, lexeme.start) + 1)
    if at >= 0 and lexeme.start < ends[at]:
        documents = not column and flat[at].inner and not _within(lexeme.start, flat[at].inner)
        flat[at].hoisted.append(comment if documents or not flat[at].top else _undocumented(comment))
    elif at >= 0 and "\n" not in text[ends[at] : lexeme.start]:
        flat[at].trailing = comment.text
    else:
        _place_between(comment, column, flat, at, tail)


def _place_between(comment: Comment, column: int, flat: list[Unit], at: int, tail: list[Comment]) -> None:
    """A comment on a line of its own behind a unit: it belongs to the next one, or below a body."""
    at_margin = at + 1 == len(flat) or flat[at + 1].top
    waiting = flat[at + 1].above if at + 1 < len(flat) else tail
    if at_margin and column and at >= 0 and not flat[at].top and not waiting:
        flat[at].below.append(comment)
    else:
        waiting.append(_undocumented(comment) if at_margin and column else comment)


def _within(position: int, stretches: tuple[tuple[int, int], ...]) -> bool:
    return any(start <= position < end for start, end in stretches)


def _undocumented(comment: Comment) -> Comment:
    """``##`` off the margin is no documentation, and must not become it by moving there."""
    return Comment("#" + comment.text.lstrip("#"), comment.gap)


def _gap(text: str, position: int) -> bool:
    line = text.rfind("\n", 0, position) + 1
    return line > 0 and not text[text.rfind("\n", 0, line - 1) + 1 : line].strip()
