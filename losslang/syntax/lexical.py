"""What can be said of a text before it is parsed: marks that do not exist, brackets that do not match.

Most slips of people who come from another language (``**``, ``&&``, ``'text'``) are found here, where they
can be named; after this check the parser only meets lexemes that the grammar has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from losslang.diagnostics import MOST, Diagnostic, Edit, Label, LosslangError
from losslang.source import Source, Span

MAX_BRACKETS = 200
"""How deep brackets may nest."""

_LEXEME = re.compile(
    r"""
    (?P<space>[ \t\n]+|\r\n)
  | (?P<comment>\#[^\n]*)
  | (?P<string>"[^"\n]*")
  | (?P<number>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)
  | (?P<quoted>[rbfuRBFU]?(?:'[^'\n]*'?|[‘’‚“”„«»`][^‘’‚“”„«»`\n]*[‘’‚“”„«»`]?)
            | [rbfuRBFU]"[^"\n]*"?)
  | (?P<unended>"[^"\n]*)
  | (?P<name>[^\W\d]\w*)
  | (?P<open>[(\[])
  | (?P<close>[)\]])
  | (?P<slip>===|!==|<>|=<|=>|:=|\*\*|//|&&|\|\||\+=|-=|\*=|/=|\+\+)
  | (?P<mark>\.\.\.|\.\.|->|==|!=|<=|>=|[-+*/^=<>:,@|?.])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_CLOSING = {"(": ")", "[": "]"}

_SLIPS: dict[str, tuple[str, str | None]] = {
    "===": ("equality is written '=='", "=="),
    "!==": ("inequality is written '!='", "!="),
    "<>": ("inequality is written '!='", "!="),
    "=<": ("write '<='", "<="),
    "=>": ("write '>=' to compare, '->' before a result", None),
    ":=": ("a binding is written 'name = expression'", "="),
    "**": ("a power is written with '^', as in x^2", "^"),
    "//": ("write floor(a / b); a comment begins with '#'", None),
    "&&": ("write 'and'", "and"),
    "&": ("write 'and'", "and"),
    "||": ("write 'or'; the size of x is abs(x), a norm is norm[i](x)", None),
    "+=": ("a name has one value: write 'x = last(x, 0) + ...' for what lives on between calls", None),
    "-=": ("a name has one value: write 'x = last(x, 0) - ...' for what lives on between calls", None),
    "*=": ("a name has one value: give the product a new name", None),
    "/=": ("a name has one value: give the quotient a new name", None),
    "++": ("one '+' adds", None),
    "!": ("write 'not'; '!=' compares", "not"),
    "~": ("write 'not'", "not"),
    "%": ("there are no percent signs: half is 0.5, a remainder is mod(a, b)", None),
    ";": ("one statement stands on each line", None),
    "{": ("only ( ) and [ ] are brackets here", None),
    "}": ("only ( ) and [ ] are brackets here", None),
    "\\": ("a line goes on where the next one begins with + * / | or a bracket is open", None),
    "$": ("there are no variables with '$': a name stands for itself", None),
    "−": ("this is a typographic minus sign; write '-'", "-"),
    "–": ("this is a dash; write '-'", "-"),
    "—": ("this is a dash; write '-'", "-"),
    "×": ("write '*'", "*"),
    "·": ("write '*'", "*"),
    "∙": ("write '*'", "*"),
    "⋅": ("write '*'", "*"),
    "÷": ("write '/'", "/"),
    "≤": ("write '<='", "<="),
    "≥": ("write '>='", ">="),
    "≠": ("write '!='", "!="),
    "…": ("write three full stops", "..."),
    "→": ("write '->'", "->"),
    "∞": ("write 'inf'", "inf"),
    "∑": ("write 'sum[i](...)'", None),
    "√": ("write 'sqrt(...)'", None),
    "²": ("write '^2'", "^2"),
    "³": ("write '^3'", "^3"),
}


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word, number, mark or comment; ``kind`` is the name of its group in the pattern above."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it stops."""
        return self.start + len(self.text)


def lexemes(text: str, start: int = 0, end: int | None = None) -> Iterator[Lexeme]:
    """Everything in a text but white space."""
    for match in _LEXEME.finditer(text, start, len(text) if end is None else end):
        kind = match.lastgroup
        if kind is not None and kind != "space":
            yield Lexeme(kind, match.group(), match.start())


def check(source: Source, start: int = 0, end: int | None = None) -> None:
    """Raise for lexemes that do not exist and for brackets that do not match."""
    found: list[Diagnostic] = []
    opened: list[Lexeme] = []
    for lexeme in lexemes(source.text, start, end):
        if lexeme.kind == "open":
            opened.append(lexeme)
            if len(opened) > MAX_BRACKETS:
                raise LosslangError(too_deep(_span(source, lexeme)))
        elif lexeme.kind == "close":
            if not opened or _CLOSING[opened[-1].text] != lexeme.text:
                found.append(_stray(source, lexeme, opened))
                break
            opened.pop()
        elif lexeme.kind == "name":
            if opened and _begins_definition(source.text, lexeme):
                break
            if not lexeme.text.isidentifier():
                found.append(_odd_name(source, lexeme))
        elif lexeme.kind in ("quoted", "unended", "slip", "other"):
            found.append(_slip(source, lexeme))
        if len(found) == MOST:
            break
    if opened and not found:
        found.append(_unclosed(source, opened[-1]))
    if found:
        raise LosslangError(found)


_GOES_ON = re.compile(r"\s[+|]\s*[\w(-]")


def check_folded(source: Source, start: int, end: int) -> None:
    """Raise where a comment on the only line of an expression holds what looks like more of it.

    A config that folds the lines of a text into one leaves no end to a comment; terms would be lost without a word.
    """
    text = source.text[start:end].strip()
    comment = None if "\n" in text else next((x for x in lexemes(source.text, start, end) if x.kind == "comment"), None)
    if comment is None or not source.text[start : comment.start].strip():
        return
    more = _GOES_ON.search(comment.text)
    if more is not None:
        at = comment.start + more.start() + 1
        raise LosslangError(
            Diagnostic(
                "LL0101",
                "a comment lasts to the end of its line, and this text has only one",
                _span(source, comment),
                expected="a comment that ends where its line does",
                found=f"'{source.text[at : comment.end].strip()[:40]}' within the comment",
                hint="a config folds lines into one behind '>' and in quotes: use '|', or take the comment out",
            )
        )


def one_line(text: str) -> str:
    """The text with comments and line breaks turned into blanks, every other character in its place."""

    def blank(match: re.Match[str]) -> str:
        return " " * len(match.group()) if match.lastgroup in ("space", "comment") else match.group()

    return _LEXEME.sub(blank, text)


def too_deep(span: Span) -> Diagnostic:
    """The diagnostic for a text that nests beyond the limits."""
    return Diagnostic(
        "LL0103",
        "this nests too deeply",
        span,
        hint="give the parts names: bindings in a .loss file, one for each step",
    )


def _span(source: Source, lexeme: Lexeme) -> Span:
    return Span(source, lexeme.start, lexeme.end)


_HEAD = re.compile(r"(?:loss|fn|balancer|objective)[ \t]+[^\W\d]")


def _begins_definition(text: str, lexeme: Lexeme) -> bool:
    at_margin = lexeme.start == 0 or text[lexeme.start - 1] == "\n"
    return at_margin and _HEAD.match(text, lexeme.start) is not None


def _stray(source: Source, lexeme: Lexeme, opened: list[Lexeme]) -> Diagnostic:
    span = _span(source, lexeme)
    if not opened:
        return Diagnostic("LL0104", f"this '{lexeme.text}' closes nothing", span, hint="remove it")
    opener = opened[-1]
    wanted = _CLOSING[opener.text]
    return Diagnostic(
        "LL0104",
        f"'{lexeme.text}' cannot close '{opener.text}'",
        span,
        expected=f"'{wanted}'",
        found=f"'{lexeme.text}'",
        labels=(Label(_span(source, opener), "opened here"),),
    )


def _unclosed(source: Source, opener: Lexeme) -> Diagnostic:
    wanted = _CLOSING[opener.text]
    return Diagnostic("LL0104", f"this '{opener.text}' is never closed", _span(source, opener), expected=f"'{wanted}'")


def _odd_name(source: Source, lexeme: Lexeme) -> Diagnostic:
    within = (i for i, char in enumerate(lexeme.text) if not ("a" + char).isidentifier())
    at = next(within, 0)  # what may only continue a name, such as an accent, begins this one
    return _slip(source, Lexeme("other", lexeme.text[at], lexeme.start + at))


def _slip(source: Source, lexeme: Lexeme) -> Diagnostic:
    span, text = _span(source, lexeme), lexeme.text
    if lexeme.kind == "quoted":
        return _quotes(source, lexeme)
    if lexeme.kind == "unended":
        return Diagnostic("LL0101", "this text is never closed", span, expected="'\"' before the end of the line")
    if text in _SLIPS:
        hint, ours = _SLIPS[text]
        fix = () if ours is None else (Edit(span, _set_apart(source.text, lexeme, ours)),)
        return Diagnostic("LL0101", f"there is no '{text}' here", span, hint=hint, fix=fix)
    name = unicodedata.name(text, f"U+{ord(text):04X}").lower()
    if text.isprintable() and not text.isspace():
        return Diagnostic("LL0101", f"the character '{text}' ({name}) means nothing here", span)
    return Diagnostic("LL0101", f"an invisible character ({name})", span, hint="remove it, or put a blank in its place")


def _set_apart(text: str, lexeme: Lexeme, ours: str) -> str:
    """What stands for a slip, with blanks where a word would run into its neighbours: ``a&&b`` is ``a and b``."""
    if not ours.isalpha():
        return ours
    before, behind = text[max(0, lexeme.start - 1) : lexeme.start], text[lexeme.end : lexeme.end + 1]
    left = " " if before.isalnum() or before in ("_", ")", "]") else ""
    right = " " if behind.isalnum() or behind in ("_", "(", "[", "-", ".") else ""
    return f"{left}{ours}{right}"


def _quotes(source: Source, lexeme: Lexeme) -> Diagnostic:
    text, span = lexeme.text, _span(source, lexeme)
    if text[1:2] == '"':
        return Diagnostic(
            "LL0101",
            f"there are no {text[0]}-strings",
            span,
            hint=f"remove the '{text[0]}'; an expression stands without quotes",
            fix=(Edit(span, text[1:]),),
        )
    inner = text.lstrip("rbfuRBFU").strip("'\"‘’‚“”„«»`")
    return Diagnostic(
        "LL0101",
        "text stands in straight double quotes",
        span,
        expected=f'"{inner}"' if inner else "'\"'",
        found=text,
        hint="names of losses, networks and axes need no quotes at all",
        fix=(Edit(span, f'"{inner}"'),) if text[-1] in "'’”«»`“‘" and len(text) > 1 else (),
    )
