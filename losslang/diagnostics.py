"""Errors as data: a code, places, what was expected and found, and the nearest fix; rendered in one place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from losslang.source import Span

CODES: dict[str, str] = {
    # syntax
    "LL0101": "the text does not parse",
    "LL0102": "the text is empty",
    "LL0103": "the text nests too deeply",
    "LL0104": "unbalanced brackets",
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
    # networks
    "LL0601": "unknown network",
    "LL0602": "weights not found",
    "LL0603": "weights do not match their hash",
    "LL0604": "weights do not fit the network",
}


@dataclass(frozen=True)
class Label:
    """A second place that belongs to a diagnostic, with a few words."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One error: everything that a message, an editor or a fix needs."""

    code: str
    message: str
    span: Span | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    labels: tuple[Label, ...] = ()
    replacement: str | None = None
    """Text that would mend the error if it stood in place of ``span``."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--format json`` and editors; lines and columns from 1."""
        place: dict[str, Any] = {}
        if self.span is not None:
            line, column = self.span.source.position(self.span.start)
            end_line, end_column = self.span.source.position(self.span.end)
            place = {
                "file": self.span.source.name,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
            }
        fields = {
            "code": self.code,
            "title": CODES[self.code],
            "message": self.message,
            **place,
            "expected": self.expected,
            "found": self.found,
            "hint": self.hint,
            "replacement": self.replacement,
        }
        return {key: value for key, value in fields.items() if value is not None}


class LosslangError(Exception):
    """Raised for every error in a user's text, inputs or files; holds all that were found."""

    def __init__(self, diagnostics: Diagnostic | Sequence[Diagnostic]) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


def at_call(problem: LosslangError, call: Span) -> LosslangError:
    """The error of a definition's body at the call that led there: a caret in the library mends nothing alone."""

    def moved(found: Diagnostic) -> Diagnostic:
        place = found.span
        if place is None:
            return replace(found, span=call)
        if place.source is not call.source:
            return replace(found, span=call, labels=(Label(place, "found here"), *found.labels))
        inside = call.start <= place.start and place.end <= call.end
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
    replacement: str | None = None,
) -> LosslangError:
    """A `LosslangError` with one diagnostic."""
    assert code in CODES, code
    return LosslangError(Diagnostic(code, message, span, expected, found, hint, tuple(labels), replacement))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, or None where nothing is near."""
    names = list(candidates)
    lowered = {candidate.lower(): candidate for candidate in names}
    if name.lower() in lowered:
        return lowered[name.lower()]
    match = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return match[0] if match else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint that names the nearest candidate."""
    match = nearest(name, candidates)
    return f"did you mean '{match}'?" if match else None


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics as text with caret lines."""
    return "\n\n".join(_render_one(diagnostic) for diagnostic in diagnostics)


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics as one JSON array."""
    return json.dumps([diagnostic.as_dict() for diagnostic in diagnostics], indent=2)


def _render_one(diagnostic: Diagnostic) -> str:
    lines = [f"error[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, "")
    for label in diagnostic.labels:
        lines += _excerpt(label.span, label.text)
    for word, value in (
        ("expected", diagnostic.expected),
        ("found", diagnostic.found),
        ("hint", diagnostic.hint),
    ):
        if value is not None:
            lines.append(f"  {word}: {value}")
    return "\n".join(lines)


def _excerpt(span: Span, text: str) -> list[str]:
    """Place, source line and carets; a long line is cut to the part around the span."""
    if not span.source.text:
        return []
    number, column = span.source.position(span.start)
    line = span.source.line(number)
    width = max(1, min(span.end - span.start, len(line) - column + 1))
    cut = max(0, column - 60)
    shown = ("…" if cut else "") + line[cut : cut + 110] + ("…" if len(line) > cut + 110 else "")
    indent = " " * (column - 1 - cut + (1 if cut else 0))
    carets = "^" * min(width, 110)
    gutter = " " * len(str(number))
    return [
        f"{gutter}--> {span}",
        f"{number} | {shown}",
        f"{gutter} | {indent}{carets}{' ' + text if text else ''}",
    ]
