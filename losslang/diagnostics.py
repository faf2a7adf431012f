"""Errors and warnings as data: a code, places, what was expected and found, and the fix; rendered in one place."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

from losslang.source import Span

CODES: dict[str, str] = {
    # syntax
    "LL0101": "the text does not parse",
    "LL0102": "the text is empty",
    "LL0103": "the text nests too deeply",
    "LL0104": "unbalanced brackets",
    "LL0105": "the file holds no text",
    # names
    "LL0201": "unknown loss or function",
    "LL0202": "unknown parameter",
    "LL0203": "unknown name",
    "LL0204": "unknown axis",
    "LL0205": "a name is defined twice",
    "LL0206": "unknown pass or balancer",
    "LL0207": "an argument is missing",
    "LL0208": "too many arguments",
    "LL0209": "unknown module",
    "LL0210": "a definition needs itself",
    "LL0211": "a binding needs itself",
    # kinds, axes, shapes
    "LL0301": "wrong kind",
    "LL0302": "axes do not agree",
    "LL0303": "two terms want one name at different types",
    "LL0304": "two filters meet",
    "LL0305": "a value is out of its declared bounds",
    "LL0306": "an index variable has no range",
    "LL0307": "wrong type of argument",
    "LL0308": "not one of the choices",
    "LL0309": "not supported here",
    "LL0310": "rows of two losses do not fit together",
    "LL0311": "a loss of another form is wanted",
    "LL0312": "randomness that is no default",
    "LL0313": "last reads what has no name",
    # objectives
    "LL0401": "an objective without terms",
    "LL0402": "a weight is not a number",
    "LL0403": "what is higher-is-better is no loss",
    "LL0404": "too many terms",
    "LL0405": "not a file with one objective",
    "LL0406": "the objective is too large",
    # calls, at run time
    "LL0501": "an input is missing",
    "LL0502": "an unexpected input",
    "LL0503": "wrong shape",
    "LL0504": "wrong dtype",
    "LL0505": "labels out of range",
    "LL0506": "a value is not finite",
    "LL0507": "inputs on different devices",
    "LL0508": "values outside their declared range",
    "LL0509": "the compiler of the backend failed",
    "LL0510": "a minimum was not found",
    "LL0511": "what is stored has another shape",
    "LL0512": "an operation failed",
    "LL0513": "a model does not do what its type says",
    # networks
    "LL0601": "unknown network",
    "LL0602": "weights not found",
    "LL0603": "weights do not match their hash",
    "LL0604": "weights do not fit the network",
    # modules and configs
    "LL0701": "a module needs itself",
    "LL0702": "outside of the module path",
    "LL0703": "one name for two things",
    "LL0704": "a constant that nothing uses",
    "LL0705": "nothing that can be set",
    "LL0706": "not a config",
    "LL0707": "an unknown key of a config",
    "LL0708": "a key is given twice",
    "LL0709": "a value of the wrong type",
    "LL0710": "a key is missing",
    # warnings
    "LL0801": "a weight of 0",
    "LL0802": "a term without a gradient",
    "LL0803": "what nothing uses",
    "LL0804": "a learned value that nothing trains",
    "LL0805": "normalised twice",
    "LL0806": "a softmax over one class",
    "LL0807": "an image in another range",
    "LL0808": "a sum over the whole batch",
    "LL0809": "numbers by their place",
    "LL0810": "a target that is no distribution",
    "LL0811": "only the target is learned",
    "LL0812": "one term twice",
    "LL0813": "a mask that leaves nothing",
    "LL0814": "the inverse of a number",
    "LL0815": "a negative weight under a balancer",
    "LL0816": "an ignored class",
    "LL0817": "a loss that is made large",
    "LL0818": "logits that are weighed",
}

WARNINGS = frozenset(code for code in CODES if code >= "LL0800")
"""The codes of warnings; all others are errors."""


T = TypeVar("T")
Severity: TypeAlias = Literal["error", "warning"]
Form: TypeAlias = Literal["text", "json", "github"]

MOST = 50
"""Diagnostics that one error holds: nobody reads more, and a text of a million slips must end."""


@dataclass(frozen=True)
class Label:
    """A second place that belongs to a diagnostic, with a few words."""

    span: Span
    text: str


@dataclass(frozen=True)
class Edit:
    """A stretch of the text, and what should stand there instead."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning: everything that a message, an editor or a fix needs."""

    code: str
    message: str
    span: Span | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    fix: tuple[Edit, ...] = ()
    """Edits that certainly mend it, for machines to apply; what is only likely stands in the hint."""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        """A name of a million letters is quoted in part."""
        for word in ("message", "expected", "found", "hint"):
            object.__setattr__(self, word, _brief(getattr(self, word)))

    def as_dict(self) -> dict[str, Any]:
        """For ``--format json`` and editors; lines and columns from 1."""
        fields = {
            "code": self.code,
            "severity": self.severity,
            "title": CODES[self.code],
            "message": self.message,
            **(place(self.span) if self.span is not None else {}),
            "expected": self.expected,
            "found": self.found,
            "hint": self.hint,
            "labels": [{**place(label.span), "text": label.text} for label in self.labels],
            "notes": list(self.notes),
            "fix": [{**place(edit.span), "text": edit.text} for edit in self.fix],
        }
        return {key: value for key, value in fields.items() if value is not None and value != []}


AT_MOST = 1000
"""Characters of one part of a message."""


def _brief(text: str | None) -> str | None:
    return text if text is None or len(text) <= AT_MOST else f"{text[: AT_MOST // 2]}...{text[-AT_MOST // 2 :]}"


def place(span: Span) -> dict[str, Any]:
    """A span as file, lines and columns (both from 1)."""
    span = span.place
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


class LosslangError(Exception):
    """Raised for every error in a user's text, inputs or files; holds all that were found.

    One without diagnostics says that what was wanted depends on something that is reported already.
    """

    def __init__(self, diagnostics: Diagnostic | Sequence[Diagnostic]) -> None:
        found = [diagnostics] if isinstance(diagnostics, Diagnostic) else _once(diagnostics)
        if len(found) > MOST:
            found[MOST - 1] = replace(found[MOST - 1], notes=(f"and {len(found) - MOST} more",))
        self.diagnostics = tuple(found[:MOST])
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


def _once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """What is said of one place is said once: a definition is evaluated at every call."""
    return list({(one.code, one.message, one.span): one for one in reversed(list(diagnostics))}.values())[::-1]


class Problems:
    """Errors that are met one after the other, and raised together."""

    def __init__(self) -> None:
        self.errors: list[LosslangError] = []

    def attempt(self, action: Callable[[], T]) -> T | None:
        """What an action gives; None where it fails."""
        try:
            return action()
        except LosslangError as problem:
            self.errors.append(problem)
            return None

    def check(self) -> None:
        """Go on only where nothing failed.

        Raises:
            LosslangError: with all errors so far.
        """
        if self.errors:
            raise self.together()

    def together(self) -> LosslangError:
        """All errors as one."""
        return LosslangError([one for problem in self.errors for one in problem.diagnostics])


# ------------------------------------------------------------------------------------------ warnings
class LosslangWarning(UserWarning):
    """What `losslang.compile` and the first call warn of; ``allow=`` names what is meant as it is."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic

    def __str__(self) -> str:
        return render([self.diagnostic])


def warning(
    code: str,
    message: str,
    span: Span | None,
    *,
    expected: str,
    found: str,
    hint: str,
    labels: Iterable[Label] = (),
    notes: Iterable[str] = (),
) -> Diagnostic:
    """One warning."""
    assert code in WARNINGS, code
    return Diagnostic(code, message, span, expected, found, hint, tuple(labels), tuple(notes), severity="warning")


def allowed(entries: Iterable[str], terms: Collection[str] | None = None) -> frozenset[str]:
    """What ``allow=`` says: codes of warnings (``LL0808``), maybe of one term (``cls.LL0808``).

    Raises:
        LosslangError: LL0308 for anything else, and for a term that is none of ``terms``.
    """
    found = frozenset([entries] if isinstance(entries, str) else entries)
    for entry in sorted(found):
        term, _, code = entry.rpartition(".")
        if code not in WARNINGS:
            _refuse_allowed(entry, code, WARNINGS)
        if term and terms is not None and term not in terms:
            _refuse_allowed(entry, term, terms)
    return found


def _refuse_allowed(entry: str, part: str, known: Collection[str]) -> NoReturn:
    near = nearest(part, known)
    raise error(
        "LL0308",
        f"there is no warning '{entry}' to allow",
        expected="the code of a warning, such as LL0808, or that of one term: cls.LL0808",
        found=entry,
        hint=f"did you mean '{entry.replace(part, near)}'?" if near else "losslang explain LL0808 says what a code is",
    )


_COMMENT = re.compile(r"#.*?\ballow((?:[\s,]+LL\d{4})+)")


def is_meant(found: Diagnostic, allow: Collection[str], terms: Collection[str] = ()) -> bool:
    """Whether a warning is allowed: its code, its code for each of the terms it is about, or by a comment beside it."""
    if found.code in allow or (terms and all(f"{term}.{found.code}" in allow for term in terms)):
        return True
    if found.span is None:
        return False
    here = found.span.place
    number = here.source.position(here.start)[0]
    lines = [here.source.line(line) for line in (number - 1, number) if line]
    return any(found.code in comment.group(1) for line in lines for comment in _COMMENT.finditer(line))


# ------------------------------------------------------------------------------------------ places
def at_call(problem: LosslangError, call: Span) -> LosslangError:
    """The error of a definition's body, with the call that led there; of one in the library, at the call.

    A caret in the library mends nothing.
    """

    here = call.place

    def moved(found: Diagnostic) -> Diagnostic:
        there = None if found.span is None else found.span.place
        found = replace(found, fix=tuple(edit for edit in found.fix if edit.span.place.source is here.source))
        if there is None:
            return replace(found, span=call)
        if there.source.library and not here.source.library:
            return replace(found, span=call, labels=(Label(there, "found here"), *found.labels))
        inside = there.source is here.source and here.start <= there.start and there.end <= here.end
        return found if inside else replace(found, labels=(*found.labels, Label(call, "called here")))

    return LosslangError([moved(found) for found in problem.diagnostics])


def error(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    expected: str | None = None,
    found: str | None = None,
    hint: str | None = None,
    labels: Iterable[Label] = (),
    notes: Iterable[str] = (),
    fix: Iterable[Edit] = (),
) -> LosslangError:
    """A `LosslangError` with one diagnostic."""
    assert code in CODES, code
    return LosslangError(
        Diagnostic(code, message, span, expected, found, hint, tuple(labels), tuple(notes), tuple(fix))
    )


# ------------------------------------------------------------------------------------------ near names
def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, or None where nothing is near."""
    names = list(candidates)
    lowered = {candidate.lower(): candidate for candidate in names}
    if name.lower() in lowered:
        return lowered[name.lower()]
    if len(name) < 2 and name.isalpha():
        return None  # half of every short name is like a letter
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return match[0] if match else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint that names the nearest candidate."""
    match = nearest(name, candidates)
    return f"did you mean '{match}'?" if match else None


def renamed(span: Span, name: str, candidates: Iterable[str]) -> tuple[Edit, ...]:
    """The edit that writes the nearest candidate at the start of a span, where no other one can be meant."""
    names = list(candidates)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.7)
    sure = [near for near in names if near.lower() == name.lower()]
    if len(close) == 1 and difflib.SequenceMatcher(None, name, close[0]).ratio() > 0.85:
        sure = sure or close
    if len(sure) != 1 or not span.text.startswith(name):
        return ()
    return (Edit(replace(span, end=span.start + len(name)), sure[0]),)


def mended(text: str, diagnostics: Iterable[Diagnostic]) -> str:
    """A text with every fix applied that touches no other; all edits of a fix, or none of them."""
    taken: list[Edit] = []
    for diagnostic in diagnostics:
        edits = [replace(edit, span=edit.span.place) for edit in diagnostic.fix]
        if all(_apart(edit, other) for edit in edits for other in taken):
            taken += [edit for edit in edits if edit not in taken]
    for edit in sorted(taken, key=lambda edit: edit.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _apart(edit: Edit, other: Edit) -> bool:
    return edit == other or edit.span.end <= other.span.start or other.span.end <= edit.span.start


# ------------------------------------------------------------------------------------------ rendering
def render(diagnostics: Sequence[Diagnostic], form: Form = "text", *, colour: bool = False) -> str:
    """All diagnostics: as text with caret lines, as one JSON array, or as workflow commands of GitHub."""
    match form:
        case "json":
            return json.dumps([diagnostic.as_dict() for diagnostic in diagnostics], indent=2)
        case "github":
            return "\n".join(map(_annotation, diagnostics))
        case "text":
            return "\n\n".join(_as_text(diagnostic, _COLOURS if colour else {}) for diagnostic in diagnostics)


_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "place": "\x1b[34m", "word": "\x1b[1m", "end": "\x1b[0m"}


def _as_text(diagnostic: Diagnostic, colours: dict[str, str]) -> str:
    def painted(name: str, text: str) -> str:
        return f"{colours[name]}{text}{colours['end']}" if colours else text

    head = painted(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [f"{head}: {printable(diagnostic.message)}"]
    places = [] if diagnostic.span is None else [(diagnostic.span, "")]
    for span, text in [*places, *((label.span, label.text) for label in diagnostic.labels)]:
        gutter, *excerpt = _excerpt(span, printable(text)) or [""]
        lines += [painted("place", gutter), *excerpt] if excerpt else []
    details = [("expected", diagnostic.expected), ("found", diagnostic.found), ("hint", diagnostic.hint)]
    for word, value in [*details, *(("note", note) for note in diagnostic.notes)]:
        if value is not None:
            lines.append(f"  {painted('word', word)}: {printable(value)}")
    return "\n".join(lines)


LONGEST = 110
"""Characters of a source line that are shown."""


def _excerpt(span: Span, text: str) -> list[str]:
    """Place, source line and carets; a long line is cut to the part around the span."""
    span = span.place
    if not span.source.text:
        return []
    number, column = span.source.position(span.start)
    line = span.source.line(number).rstrip("\r")
    width = max(1, min(span.end - span.start, len(line) - column + 1))
    cut = max(0, column - 60)
    shown = printable(line[cut : cut + LONGEST])
    before = _columns(shown[: column - 1 - cut])
    carets = "^" * max(1, _columns(shown[column - 1 - cut : column - 1 - cut + width]))
    lead, tail = "..." if cut else "", "..." if len(line) > cut + LONGEST else ""
    gutter = " " * len(str(number))
    return [
        f"{gutter}--> {printable(str(span))}",
        f"{number} | {lead}{shown}{tail}",
        f"{gutter} | {' ' * (len(lead) + before)}{carets}{' ' + text if text else ''}",
    ]


def printable(text: str) -> str:
    """The text with a mark for every character that a terminal does not print: as many characters as before."""
    return "".join(char if char.isprintable() else " " if char in "\t\r\n" else "?" for char in text)


def _columns(text: str) -> int:
    """How many columns a terminal needs: wide letters take two, accents that combine none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _annotation(diagnostic: Diagnostic) -> str:
    """A line that GitHub shows beside the code."""
    fields = diagnostic.as_dict()
    keys = {"file": "file", "line": "line", "column": "col", "end_line": "endLine", "end_column": "endColumn"}
    places = [f"{there}={_escaped(str(fields[here]), ',:')}" for here, there in keys.items() if here in fields]
    details = [f"{word}: {fields[word]}" for word in ("expected", "found", "hint") if word in fields]
    message = "\n".join([diagnostic.message, *details, *(f"note: {note}" for note in diagnostic.notes)])
    return f"::{diagnostic.severity} {','.join([*places, f'title={diagnostic.code}'])}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
