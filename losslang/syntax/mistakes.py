"""Syntax errors in the user's words: what was expected, what was found, and the slip that explains it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from lark import Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from losslang.diagnostics import Diagnostic, Edit
from losslang.source import Source, Span
from losslang.syntax.lexical import Lexeme, lexemes

_OPERAND = frozenset({"NAME", "QUALIFIED", "INT", "FLOAT", "STRING", "LPAR", "LSQB", "MINUS", "NOT", "REST"})
_SIGNS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "POWER", "RANGE", "BAR", "LPAR", "LSQB"})
_COMPARISONS = frozenset({"EQUALS", "DIFFERS", "AT_MOST", "AT_LEAST", "LESS", "GREATER"})
_OPERATOR = _SIGNS | _COMPARISONS | {"_IF", "_AND", "_OR", "_IN", "_AS"}
_WORDS = {
    "RPAR": "')'",
    "RSQB": "']'",
    "LPAR": "'('",
    "LSQB": "'['",
    "COMMA": "','",
    "COLON": "':'",
    "ASSIGN": "'='",
    "ARROW": "'->'",
    "AT": "'@'",
    "DOT": "'.'",
    "BAR": "'|'",
    "LESS": "'<'",
    "SLASH": "'/'",
    "OPTIONAL": "'?'",
    "REST": "'...'",
    "NAME": "a name",
    "FILE": "a file such as ./mine.loss",
    "INT": "a whole number",
    "KEYWORD": "a definition (loss, fn, balancer or objective)",
    "USE": "'use'",
    "_ELSE": "'else'",
    "_IN": "'in'",
    "_AS": "'as'",
    "_IF": "'if'",
    "_INDENT": "an indented line",
    "_NL": "the end of the line",
    "$END": "the end of the text",
}


@dataclass(frozen=True)
class _Place:
    """Where parsing stopped, and what stands around it."""

    source: Source
    start: int
    end: int
    rule: str
    kind: str
    """The terminal that was found."""
    text: str
    at: int
    accepts: frozenset[str]

    @property
    def span(self) -> Span:
        """The culprit; at the end of a line or text, the one place behind it."""
        return Span(self.source, self.at, self.at + max(1, len(self.text)))

    @cached_property
    def before(self) -> list[Lexeme]:
        """The lexemes before the culprit, comments left out."""
        return [x for x in lexemes(self.source.text, self.start, self.at) if x.kind != "comment"]

    @cached_property
    def after(self) -> Lexeme | None:
        """The lexeme behind the culprit."""
        behind = lexemes(self.source.text, self.at + len(self.text), self.end)
        return next((x for x in behind if x.kind != "comment"), None)

    @property
    def last(self) -> str:
        """The text just before the culprit."""
        return self.before[-1].text if self.before else ""

    @property
    def statement(self) -> list[Lexeme]:
        """The lexemes before the culprit that stand on its line."""
        line = self.source.text.rfind("\n", 0, self.at) + 1
        return [x for x in self.before if x.start >= line]

    @property
    def wants_operand(self) -> bool:
        """An expression was about to begin."""
        return {"NAME", "LPAR", "MINUS"} <= self.accepts

    @property
    def wants_operator(self) -> bool:
        """An expression had just ended."""
        # The parser may have reduced `a` to a whole pipeline before it saw that what follows does not fit.
        whole = {"_IF", "_IN"} <= self.accepts or ("BAR" in self.accepts and "ASSIGN" not in self.accepts)
        return "STAR" in self.accepts or whole

    @property
    def header(self) -> str | None:
        """The name of the definition that was begun last."""
        heads = list(_HEAD.finditer(self.source.text, self.start, self.at))
        return heads[-1].group(1) if heads else None


_HEAD = re.compile(r"^(?:[^#\n]*\s)?(?:loss|fn|balancer|objective)[ \t]+([^\W\d]\w*)", re.MULTILINE)


def explain(source: Source, start: int, end: int, rule: str, failure: UnexpectedInput) -> Diagnostic:
    """The diagnostic for a failure of the parser on the stretch of a source that it read with ``rule``."""
    place = _place(source, start, end, rule, failure)
    found = _found(place)
    plain = Diagnostic(
        "LL0101", f"{found} cannot stand here", place.span, expected=_expected(place) or None, found=found
    )
    for slip in _SLIPS:
        diagnostic = slip(place, plain)
        if diagnostic is not None:
            return diagnostic
    return plain


def _place(source: Source, start: int, end: int, rule: str, failure: UnexpectedInput) -> _Place:
    """All that is read off an exception of lark."""
    if isinstance(failure, UnexpectedToken):
        token = cast("Token", failure.token)
        accepts = frozenset(failure.accepts or failure.expected)
        kind, text = token.type, "" if token.type in ("_NL", "_INDENT", "_DEDENT", "$END") else str(token)
        at = end if kind == "$END" or token.start_pos is None else min(end, start + token.start_pos)
    else:
        assert isinstance(failure, UnexpectedCharacters)
        accepts = frozenset(failure.allowed or ())
        at = start + cast("int", failure.pos_in_stream)
        kind, text = "other", source.text[at : at + 1]
    if kind in ("_NL", "$END"):
        at = start + len(source.text[start:at].rstrip())
    return _Place(source, start, end, rule, kind, text, at, accepts)


def _found(place: _Place) -> str:
    match place.kind:
        case "NAME" | "QUALIFIED":
            return f"the name '{place.text}'"
        case "INT" | "FLOAT":
            return f"the number {place.text}"
        case "STRING":
            return f"the text {place.text}"
        case "KEYWORD":
            return f"a definition ('{place.text}')"
        case "_INDENT":
            return "a deeper indentation"
        case "_DEDENT":
            return "the end of the body"
        case "_NL":
            return "the end of the line"
        case "$END":
            return "the end of the text"
        case _:
            return f"'{place.text}'"


def _expected(place: _Place) -> str:
    kinds = set(place.accepts)
    words: list[str] = []
    if place.wants_operand:
        words.append("an expression")
        kinds -= _OPERAND
    if place.wants_operator:
        words.append("an operator")
        kinds -= _OPERATOR
    if place.rule != "file":
        kinds.discard("_NL")
    if place.rule in ("statement", "line") and "$END" in kinds:
        kinds = kinds - {"$END"} | {"_NL"}
    words += sorted(_WORDS[kind] for kind in kinds if kind in _WORDS)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1] if words else ""


# ------------------------------------------------------------------------------------------ slips
_FOREIGN = {
    "def": "a definition begins with loss, fn, balancer or objective",
    "function": "a definition begins with loss, fn, balancer or objective",
    "func": "a definition begins with loss, fn, balancer or objective",
    "class": "a definition begins with loss, fn, balancer or objective",
    "let": "a binding is written 'name = expression'",
    "var": "a binding is written 'name = expression'",
    "const": "a binding is written 'name = expression'",
    "return": "the last line of a body is its result, without 'return'",
    "import": "write 'use name' for a module of losses",
    "from": "write 'use name' for a module of losses",
    "include": "write 'use name' for a module of losses",
    "for": "there are no loops: an axis in brackets says over what, as in sum[i](x)",
    "while": "there are no loops: an axis in brackets says over what, as in sum[i](x)",
    "lambda": "a function has a name: fn name(x): ...",
    "elif": "conditions nest: a if c else b if d else e",
    "then": "write 'a if condition else b'",
    "when": "write 'a if condition else b'",
    "where": "a filter is written with 'if' in brackets: sum[i if x > 0](x)",
    "is": "write '=='",
    "with": "there are no blocks but the bodies of definitions",
    "print": "nothing is printed from a loss; every term is logged by name",
    "assert": "properties are stated by decorators: @nonneg, @example(call, value)",
}


def _foreign_word(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``def f``, ``return x``, ``for i in``: words of other languages."""
    last = place.before[-1] if place.before else None
    words = [place.text] if place.kind == "NAME" else []
    words += [last.text] if last is not None and last.kind == "name" else []
    for word in words:
        if word in _FOREIGN:
            span = place.span if word == place.text or last is None else Span(place.source, last.start, last.end)
            return replace(
                plain,
                message=f"there is no '{word}' in losslang",
                span=span,
                expected=None,
                found=None,
                hint=_FOREIGN[word],
            )
    return None


def _member_access(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``torch.abs(x)``, ``x.mean()``."""
    if place.kind != "DOT":
        return None
    name = place.after.text if place.after else "name"
    hint = f"functions stand before what they take: write {name}(...), not {place.last}.{name}(...)"
    return replace(plain, message="names have no members", expected=None, found=None, hint=hint)


def _keyword_as_name(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``as if``, ``in = 2``: words that cannot be names."""
    if place.text not in ("as", "if", "else", "and", "or", "not", "in") or not place.accepts & {"NAME"}:
        return None
    if place.wants_operand and place.text != "as" and place.last:
        return None
    return replace(plain, message=f"'{place.text}' is a word of the language and cannot be a name")


def _unary_plus(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``+x``."""
    if place.kind != "PLUS" or not place.wants_operand:
        return None
    return replace(plain, hint="remove it: there is no sign '+'", fix=(Edit(place.span, ""),))


def _missing_operator(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``2 x``, ``0.5 l1(a, b)``, ``f(a) g(b)``."""
    if (
        not place.wants_operator
        or place.kind not in ("NAME", "QUALIFIED", "INT", "FLOAT", "STRING", "NOT")
        or not place.before
    ):
        return None
    last = place.before[-1]
    if place.kind == "NOT":
        return replace(plain, hint="write 'not x in s' as 'not (x in s)', and '!=' for what differs")
    hint = (
        f"write {last.text}*{place.text} for the product, or '+' between two terms" if last.kind == "number" else None
    )
    if place.kind == "FLOAT" and place.text.startswith(".") and last.end == place.at:
        hint = "a number has one decimal point"
    if place.kind == "NAME" and place.after is not None and place.after.text == "=" and _open_bracket(place) is None:
        hint = f"options stand in parentheses: {last.text}({place.text}=...)"
    return replace(plain, message=f"an operator is missing before {plain.found}", hint=hint)


def _single_equals(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``a if x = 2 else b``, ``x = 2`` in an expression."""
    if place.kind != "ASSIGN":
        return None
    words = [lexeme.text for lexeme in place.statement]
    if "if" in words or "when" in words or any(word in ("==", "<", ">", "and", "or", "not") for word in words):
        fix = (Edit(place.span, "=="),)
        return replace(plain, message="'=' gives a value, it does not compare", hint="write '=='", fix=fix)
    hint = "'==' compares; 'expression as name' names a term; a binding stands in the body of a definition"
    if place.rule == "file":
        hint = "a body on the line of its header is one expression: bindings stand on lines below"
    return replace(plain, hint=hint)


def _colon(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``l1: 0.5``, ``x[1:3]``."""
    if place.kind != "COLON":
        return None
    opened = _open_bracket(place)
    if opened == "[":
        return replace(plain, hint="there are no slices: x[i] names an axis, x[i if i < 3] keeps a part of it")
    if opened == "(" and place.rule == "file" and "ASSIGN" in place.accepts:
        return replace(plain, hint="a default stands behind '='")
    if place.rule == "expression" and opened is None and place.before and place.before[-1].text == "objective":
        return replace(plain, hint="an objective has a name: objective main: ...")
    if place.rule == "expression" and opened is None:
        return replace(plain, hint="a weight is a factor: write 0.5*l1, and '+' between the terms")
    return None


def _open_bracket(place: _Place) -> str | None:
    opened: list[str] = []
    for lexeme in place.before:
        if lexeme.kind == "open":
            opened.append(lexeme.text)
        elif lexeme.kind == "close" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _comma(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``l1, l2`` without brackets."""
    if place.kind != "COMMA" or _open_bracket(place) is not None:
        return None
    if place.before and place.before[-1].kind == "number":
        return replace(plain, hint="a number has a decimal point, as in 0.5")
    return replace(plain, hint="the terms of an objective are added: l1 + l2")


def _missing_colon(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """A header without its ``:``."""
    if "COLON" not in place.accepts or place.header is None or _open_bracket(place) is not None:
        return None
    if place.kind not in ("_NL", "$END", "NAME", "LPAR", "ASSIGN", "INT", "FLOAT"):
        return None
    end = place.before[-1].end
    return replace(
        plain,
        message=f"a ':' is missing behind the header of '{place.header}'",
        span=Span(place.source, end, end + 1),
        expected="':'",
        hint=None,
    )


def _missing_body(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """A header whose body is missing or stands at the margin."""
    if place.last != ":" or place.header is None or not ("_INDENT" in place.accepts or place.kind in ("_NL", "$END")):
        return None
    if place.kind in ("$END", "KEYWORD", "AT", "_NL"):
        return replace(
            plain,
            message=f"'{place.header}' has no body",
            expected="an expression, or indented lines below",
            hint=None,
        )
    return replace(
        plain,
        message=f"the body of '{place.header}' is not indented",
        expected="a line indented by four blanks",
        hint=None,
    )


def _deeper(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """A line that is indented for no reason."""
    if place.kind != "_INDENT":
        return None
    line = place.source.text.rfind("\n", 0, place.at) + 1
    text = place.source.line(place.source.position(place.at)[0]).strip()
    return replace(
        plain,
        message="this line is indented deeper than the one before it",
        span=Span(place.source, place.at, place.at + max(1, len(text))),
        expected=None if place.header else "no blanks before it, or a header that ends in ':' above",
        found=f"{place.at - line} blanks",
        hint="a line goes on where the next one begins with + * / | or a bracket is open",
    )


def _broken_line(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """An operator at the end of a line of a body, or a line that begins with one that does not carry on."""
    if place.kind == "_NL" and place.wants_operand and place.last in ("+", "-", "*", "/", "|", "^", "and", "or", "="):
        hint = "begin the next line with the operator, or put brackets round the whole"
        return replace(plain, message=f"the line ends behind '{place.last}'", hint=hint)
    return None


def _lonely_if(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``a if c`` without ``else``."""
    if "_ELSE" not in place.accepts:
        return None
    return replace(
        plain,
        message="a conditional has two branches",
        expected="'else'",
        hint="write 'a if condition else 0'",
    )


def _stray_else(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """A conditional directly within the brackets of an index, where ``if`` begins the filter."""
    if place.kind != "_ELSE":
        return None
    hint = "within [ ] an 'if' begins a filter: put brackets round the conditional, x[(a if c else b)]"
    return replace(plain, hint=hint if _open_bracket(place) == "[" else None)


def _pass_name(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``a | 2``: something else than a name behind the bar."""
    if place.last != "|" or place.kind == "NAME" or (place.rule == "file" and _open_bracket(place) == "("):
        return None
    return replace(plain, expected="the name of a balancer or a pass", hint="'or' is the word for alternatives")


def _block(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``if x:`` as a statement, ``a ? b : c``."""
    if place.text not in ("if", "else", "?") or (place.text != "?" and place.statement):
        return None
    return replace(plain, hint="a conditional is an expression: write 'a if condition else b'")


def _power_sign(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """Two operators in a row, or one where an expression should begin."""
    if place.wants_operand and place.kind in ("STAR", "SLASH", "POWER", "BAR", "EQUALS", "LESS", "GREATER"):
        hint = "a size without its sign is abs(x), a length norm[d](x)" if place.kind == "BAR" else plain.hint
        message = f"an expression is missing before '{place.text}'"
        return replace(plain, message=message, found=f"'{place.text}'", hint=hint)
    return None


def _matrix_product(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """``x @ y``."""
    if place.kind != "AT" or not place.wants_operator or not place.statement:
        return None
    return replace(plain, hint="products are summed over an axis with a name: sum[d](x*y)")


def _ends_early(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """The text stops where an expression should follow."""
    if place.kind in ("$END", "_NL") and place.wants_operand and place.last:
        return replace(plain, message=f"an expression is missing behind '{place.last}'")
    return None


def _loose_line(place: _Place, plain: Diagnostic) -> Diagnostic | None:
    """An expression at the margin of a file of definitions, or half a definition."""
    if place.rule != "file" or (not {"KEYWORD", "AT"} & place.accepts and place.accepts != frozenset({"ASSIGN"})):
        return None
    if place.last in ("loss", "fn", "balancer", "objective"):
        return replace(plain, message=f"a name is missing behind '{place.last}'", expected="a name")
    number, column = place.source.position(place.at)
    begin, line = place.at - column + 1, place.source.line(number)
    if line.startswith("@") and place.kind in ("$END", "_NL"):
        return replace(plain, message="a decorator stands above a definition, and there is none below")
    margin = len(line) - len(line.lstrip())
    return replace(
        plain,
        message="this line is no definition",
        span=Span(place.source, begin + margin, begin + max(margin + 1, len(line.rstrip()))),
        expected="'loss', 'fn', 'balancer', 'objective', 'use', '@' or 'name = expression'",
        found=None,
        hint="an objective stands in a definition: objective name(inputs): ...",
    )


_SLIPS: tuple[Callable[[_Place, Diagnostic], Diagnostic | None], ...] = (
    _foreign_word,
    _member_access,
    _missing_colon,
    _missing_body,
    _deeper,
    _stray_else,
    _block,
    _keyword_as_name,
    _unary_plus,
    _missing_operator,
    _single_equals,
    _lonely_if,
    _colon,
    _comma,
    _pass_name,
    _broken_line,
    _power_sign,
    _matrix_product,
    _ends_early,
    _loose_line,
)
