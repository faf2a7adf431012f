"""Text to syntax tree.

`parse_expression` reads one line of a config file, `parse_module` a file; `index_module` finds definitions
without parsing, and `parse_definition` parses one of them: of a large library only what is used costs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

import lark.lexer
from lark import Lark, Token
from lark.exceptions import UnexpectedInput
from lark.lark import PostLex

from losslang.diagnostics import Diagnostic, LosslangError, error
from losslang.source import Source, Span, folder
from losslang.syntax import ast, lexical, mistakes
from losslang.syntax.build import Builder
from losslang.syntax.recovery import Part, every_error, parts_of


class Chunk(NamedTuple):
    """A top-level item of a file: its ``##`` lines and decorators are part of it."""

    keyword: str
    """``loss``, ``fn``, ``balancer``, ``objective``, ``use`` or ``alias``."""
    name: str
    start: int
    end: int


def parse_expression(source: Source, start: int = 0) -> ast.Expression:
    """The objective or value in a text, or behind ``start`` in it; line breaks mean nothing."""
    whole = Part("expression", start, len(source.text))
    try:
        return _parse(source, whole)
    except LosslangError as failure:
        raise every_error(parts_of(source, whole), failure, partial(_parse, source), source) from None


def parse_type(source: Source) -> ast.Type:
    """The type in a text, as after the ``:`` of a parameter."""
    return _parse(source, Part("type_only", 0, len(source.text)))


def sound_terms(source: Source) -> ast.Expression | None:
    """The terms of an expression that parse by themselves, where others do not."""
    found: list[ast.Expression] = []
    for part in parts_of(source, Part("expression", 0, len(source.text))):
        with suppress(LosslangError):
            found.append(_parse(source, part))
    if len(found) < 2:
        return found[0] if found else None
    return ast.Sum(tuple(("+", term) for term in found), span=found[0].span.to(found[-1].span))


def sound_part(source: Source) -> tuple[ast.Module, set[str]]:
    """The definitions of a file that parse, where others do not, and the names of these."""
    items: list[ast.Use | ast.Definition | ast.Alias] = []
    broken: set[str] = set()
    for chunk in index_module(source):
        try:
            items.append(parse_definition(source, chunk.start, chunk.end))
        except LosslangError:
            broken.add(chunk.name)
    return ast.Module(tuple(items), span=Span(source, 0, len(source.text))), broken


@lru_cache(maxsize=8)
def parse_module(source: Source) -> ast.Module:
    """The definitions of a file; where it does not parse, as many errors are raised together as can be told apart."""
    try:
        module: ast.Module = _parse(source, Part("file", 0, len(source.text)))
    except LosslangError as failure:
        chunks = [Part("file", chunk.start, chunk.end) for chunk in index_module(source)]
        raise every_error(chunks, failure, partial(_parse, source), source) from None
    return replace(module, items=_documented(source, module, 0), doc=_file_doc(source.text, module.items))


def parse_definition(source: Source, start: int, end: int) -> ast.Definition | ast.Alias | ast.Use:
    """The one top-level item in a stretch of a file, with its places in the whole file."""
    module: ast.Module = _parse(source, Part("file", start, end))
    items = _documented(source, module, start)
    if len(items) != 1:
        span = items[1].span if items else Span(source, start, end)
        raise error("LL0101", "exactly one definition stands here", span, found=f"{len(items)} definitions")
    return items[0]


# ------------------------------------------------------------------------------------------ parsing
class _LayoutError(Exception):
    """Indentation that fits nothing; the position is that of the parsed stretch."""

    def __init__(self, position: int, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.position = position
        self.diagnostic = diagnostic


class _Layout(PostLex):
    """Turns indentation into tokens; line breaks within brackets are dropped."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens with ``_INDENT`` and ``_DEDENT`` added."""
        brackets, indents = 0, [0]
        for token in stream:
            if token.type in ("LPAR", "LSQB"):
                brackets += 1
            elif token.type in ("RPAR", "RSQB"):
                brackets -= 1
            elif token.type == "_NL":
                if not brackets:
                    yield from _layout(token, indents)
                continue
            yield token


def _layout(token: Token, indents: list[int]) -> Iterator[Token]:
    end = token.end_pos or 0
    margin = token.rpartition("\n")[2]
    if "\t" in margin:
        raise _LayoutError(
            end - len(margin), Diagnostic("LL0101", "a tab in the indentation", hint="indent with blanks")
        )
    yield token
    known = list(indents)
    if len(margin) > indents[-1]:
        indents.append(len(margin))
        yield Token("_INDENT", "", start_pos=end, end_pos=end)
    while len(margin) < indents[-1]:
        indents.pop()
        yield Token("_DEDENT", "", start_pos=end, end_pos=end)
    if len(margin) != indents[-1]:
        wanted = Diagnostic(
            "LL0101",
            "this line is indented like no line above it",
            expected=" or ".join(map(str, known)) + " blanks before it",
            found=str(len(margin)),
        )
        raise _LayoutError(end, wanted)


STARTS = ["file", "expression", "type_only", "statement"]
LAYOUT = _Layout()


@cache
def _lark() -> Lark:
    grammar = (folder("grammar") / "losslang.lark").read_text("utf-8")
    # With interegular installed, lark compares every two terminals each time: 0.15 s for what a test checks.
    found = lark.lexer.has_interegular
    lark.lexer.has_interegular = False
    try:
        return Lark(
            grammar, parser="lalr", start=STARTS, maybe_placeholders=True, postlex=LAYOUT, cache=_tables(grammar)
        )
    finally:
        lark.lexer.has_interegular = found


def _tables(grammar: str) -> str | bool:
    """Where lark keeps the parser's tables: making them is half of what a first check costs. False without a place."""
    root = os.environ.get("LOSSLANG_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "losslang")
    place = os.path.expanduser(root)
    try:
        os.makedirs(place, exist_ok=True)
    except OSError:
        return False
    return os.path.join(place, f"grammar-{sha256(grammar.encode()).hexdigest()[:16]}.lark")


def _parse(source: Source, part: Part) -> Any:
    """The node for a stretch of a source; every failure is a `LosslangError`."""
    rule, start, end = part.rule, part.start, part.end
    text = source.text[start:end] + part.tail
    lexical.check(source, start, end)
    if rule == "file":
        text += "\n"
    else:
        lexical.check_folded(source, start, end)
        text = lexical.one_line(text)
        if not text.strip():
            wanted = "a type" if rule == "type_only" else "an expression"
            raise error(
                "LL0102",
                "there is nothing here",
                Span(source, start, end),
                expected=wanted,
                found="an empty text" if not source.text.strip() else "comments only",
                hint="an objective is a sum of losses: 0.5*l1 + focal(gamma=2)",
            )
    try:
        tree = _lark().parse(text, start="expression" if rule == "line" else rule)
    except _LayoutError as failure:
        at = start + failure.position
        raise LosslangError(replace(failure.diagnostic, span=Span(source, at, at + 1))) from None
    except UnexpectedInput as failure:
        raise LosslangError(mistakes.explain(source, start, end, rule, failure)) from None
    node = Builder(source, start).build(tree)
    _check_depth(node)
    return node


def _check_depth(node: ast.Node) -> None:
    waiting = [(node, 1)]
    while waiting:
        current, level = waiting.pop()
        if level > ast.MAX_DEPTH:
            raise LosslangError(lexical.too_deep(current.span))
        waiting.extend((child, level + 1) for child in ast.children(current))


# ------------------------------------------------------------------------------------------ documentation
def _documented(source: Source, module: ast.Module, start: int) -> tuple[ast.Use | ast.Definition | ast.Alias, ...]:
    items: list[ast.Use | ast.Definition | ast.Alias] = []
    end = start
    for item in module.items:
        if not isinstance(item, ast.Use):
            above = source.text[end : item.span.start].split("\n")[:-1]
            lines = _attached(above[1:] if items else above) + _between(source.text, item)
            item = replace(item, doc=_doc(lines))
        items.append(item)
        end = item.span.end
    return tuple(items)


def _attached(lines: list[str]) -> list[str]:
    """The comment lines directly above a definition: those after the last blank line."""
    attached: list[str] = []
    for line in reversed(lines):
        if not line.lstrip().startswith("#"):
            break
        attached.append(line)
    return attached[::-1]


def _between(text: str, item: ast.Definition | ast.Alias) -> list[str]:
    """The comment lines between and below the decorators of a definition."""
    lines: list[str] = []
    for decorator in item.decorators:
        gap = _BLANK.match(text, decorator.span.end)
        lines += gap.group().split("\n")[1:] if gap else []
    return lines


_BLANK = re.compile(r"(?:\s|#[^\n]*)*")


def _doc(lines: Iterable[str]) -> str:
    marked = (line[2:].rstrip() for line in lines if line.startswith("##"))
    return "\n".join(line.removeprefix(" ") for line in marked)


def _file_doc(text: str, items: tuple[ast.Use | ast.Definition | ast.Alias, ...]) -> str:
    """The ``##`` lines before the first item, but for those that are its own."""
    lines = text[: items[0].span.start].split("\n")[:-1] if items else text.split("\n")
    if items and not isinstance(items[0], ast.Use):
        lines = lines[: len(lines) - len(_attached(lines))]
    paragraphs = (_doc(block.split("\n")) for block in re.split(r"\n[ \t\r]*\n", "\n".join(lines)))
    return "\n\n".join(filter(None, paragraphs))


# ------------------------------------------------------------------------------------------ index
_SCAN = re.compile(
    r"""
    "[^"\n]*" | \#[^\n]* | (?P<open>[(\[]) | (?P<close>[)\]]) | ^(?P<decorator>@)
  | (?<![\w.])(?:
        (?P<keyword>loss|fn|balancer|objective)[ \t]+(?P<name>[^\W\d]\w*)
      | (?P<use>use)[ \t]+(?P<path>\.{0,2}/[^\s#]*|[^\W\d]\w*(?:[ \t]*\.[ \t]*[^\W\d]\w*)*)
      | (?P<alias>[^\W\d]\w*)[ \t]*=(?!=)
    )
    """,
    re.VERBOSE | re.MULTILINE,
)


def index_module(source: Source) -> list[Chunk]:
    """The top-level items of a file in order, found by their first lines; never fails, whatever the text."""
    text = source.text
    heads = list(_heads(text))
    starts = [_with_comments(text, start) for _, _, start in heads]
    ends = [*starts, len(text)][1:]
    return [
        Chunk(keyword, name, start, _trimmed(text, start, end))
        for (keyword, name, _), start, end in zip(heads, starts, ends, strict=True)
    ]


def _heads(text: str) -> Iterator[tuple[str, str, int]]:
    """Keyword, name and first character (that of the first decorator) of every top-level item."""
    brackets, decorated = 0, -1
    for match in _SCAN.finditer(text):
        kind, at = match.lastgroup, match.start()
        margin = at == 0 or text[at - 1] == "\n"
        if kind == "open":
            brackets += 1
        elif kind == "close":
            brackets = max(0, brackets - 1)
        elif kind == "decorator" and not brackets:
            decorated = at if decorated < 0 else decorated
        elif kind in ("name", "path", "alias") and (margin or decorated >= 0):
            if brackets and not (margin and kind == "name"):
                continue
            keyword = match.group("keyword") or ("use" if kind == "path" else "alias")
            yield keyword, re.sub(r"\s", "", match.group(kind)), decorated if decorated >= 0 else at
            brackets, decorated = 0, -1


def _with_comments(text: str, start: int) -> int:
    """Where the comment lines directly above a position begin."""
    while start:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above : start - 1].lstrip().startswith("#"):
            break
        start = above
    return start


def _trimmed(text: str, start: int, end: int) -> int:
    """The end of a stretch without the blank lines and the comments at the margin that end it."""
    while True:
        end = start + len(text[start:end].rstrip())
        above = text.rfind("\n", start, end) + 1
        if above <= start or text[above] != "#":
            return end
        end = above


def is_module(source: Source) -> bool:
    """Whether a text is a file of definitions, not one expression."""
    return bool(index_module(source))
