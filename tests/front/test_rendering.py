"""Diagnostics as data: text with carets, JSON, GitHub's commands, and fixes that machines apply."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import losslang
from losslang.diagnostics import MOST, Diagnostic, Edit, Label, LosslangError, mended, renamed, render
from losslang.source import Source, Span
from losslang.syntax.parser import is_module, parse_expression, parse_module

HERE = Path(__file__).parent
TEXTS = [path.read_text("utf-8").partition("\n---\n")[0] for path in sorted((HERE / "errors").glob("*.loss"))]

SOURCE = Source("a.loss", "one + two\nthree*four\n")
FULL = Diagnostic(
    "LL0302",
    "these differ",
    Span(SOURCE, 10, 15),
    expected="[b]",
    found="[b, c]",
    hint="reduce it",
    labels=(Label(Span(SOURCE, 0, 3), "first here"),),
    notes=("a note", "another"),
    fix=(Edit(Span(SOURCE, 10, 15), "sum[c](three)"),),
    severity="warning",
)


def found_in(source: Source) -> tuple[Diagnostic, ...]:
    try:
        (parse_module if is_module(source) else parse_expression)(source)
        losslang.check(source)
    except LosslangError as problem:
        return problem.diagnostics
    return ()


# ------------------------------------------------------------------------------------------ text
def test_everything_is_rendered() -> None:
    assert render([FULL]).split("\n") == [
        "warning[LL0302]: these differ",
        " --> a.loss:2:1",
        "2 | three*four",
        "  | ^^^^^",
        " --> a.loss:1:1",
        "1 | one + two",
        "  | ^^^ first here",
        "  expected: [b]",
        "  found: [b, c]",
        "  hint: reduce it",
        "  note: a note",
        "  note: another",
    ]


def test_colours_change_no_word() -> None:
    text = render([FULL], colour=True)
    assert "\x1b[" in text
    plain = text
    for code in ("1;31", "1;33", "34", "1", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain == render([FULL])


@pytest.mark.parametrize(
    ("line", "start", "end", "carets"),
    [
        ("損失 + x", 5, 6, " " * 7 + "^"),  # wide letters take two columns
        ("損失 + x", 0, 2, "^^^^"),
        ("e\u0301 + x", 5, 6, " " * 4 + "^"),  # an accent that combines takes none
        ("\tx", 1, 2, " ^"),
        ("x\x00\x1b[31my", 1, 2, " ^"),
        ("x", 1, 2, " ^"),
        ("a" * 200, 100, 130, " " * 62 + "^" * 30),
        ("a" * 300, 100, 290, " " * 62 + "^" * 51),
    ],
)
def test_carets_stand_under_what_they_mean(line: str, start: int, end: int, carets: str) -> None:
    source = Source("s", line)
    *_, shown, under = render([Diagnostic("LL0101", "m", Span(source, start, end))]).split("\n")
    assert under == f"  | {carets}"
    assert shown.isprintable()


def test_no_message_writes_to_the_terminal_what_is_no_text() -> None:
    evil = Source("s\x1b]0;owned\x07", "\x1b[2J\ud800")
    text = render([Diagnostic("LL0101", "\x1b[2J", Span(evil, 0, 1), hint="\x07\ud800")])
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.encode()


def test_windows_line_ends_are_not_shown() -> None:
    source = Source("s", "one\r\ntwo\r\n")
    assert "2 | two\n" in render([Diagnostic("LL0101", "m", Span(source, 5, 8))])


def test_diagnostics_without_a_place() -> None:
    assert (
        render([Diagnostic("LL0405", "no objective", hint="add one")]) == "error[LL0405]: no objective\n  hint: add one"
    )
    nowhere = Span(Source("<generated>", ""), 0, 0)
    assert render([Diagnostic("LL0405", "no objective", nowhere)]) == "error[LL0405]: no objective"


def test_an_error_holds_what_somebody_reads() -> None:
    problem = LosslangError([Diagnostic("LL0101", f"number {k}") for k in range(1000)])
    assert len(problem.diagnostics) == MOST
    assert problem.diagnostics[-1].notes == (f"and {1000 - MOST} more",)


# ------------------------------------------------------------------------------------------ json and github
def test_json_holds_everything() -> None:
    (held,) = json.loads(render([FULL], "json"))
    assert held == {
        "code": "LL0302",
        "severity": "warning",
        "title": "axes do not agree",
        "message": "these differ",
        "file": "a.loss",
        "line": 2,
        "column": 1,
        "end_line": 2,
        "end_column": 6,
        "expected": "[b]",
        "found": "[b, c]",
        "hint": "reduce it",
        "labels": [{"file": "a.loss", "line": 1, "column": 1, "end_line": 1, "end_column": 4, "text": "first here"}],
        "notes": ["a note", "another"],
        "fix": [{"file": "a.loss", "line": 2, "column": 1, "end_line": 2, "end_column": 6, "text": "sum[c](three)"}],
    }
    assert render([], "json") == "[]"


def test_github_takes_one_line_for_each() -> None:
    source = Source("a,b:c.loss", "x\n")
    text = render([FULL, Diagnostic("LL0101", "50%\r\nmore", Span(source, 0, 1))], "github")
    assert text.split("\n") == [
        "::warning file=a.loss,line=2,col=1,endLine=2,endColumn=6,title=LL0302::these differ%0Aexpected: [b]"
        "%0Afound: [b, c]%0Ahint: reduce it%0Anote: a note%0Anote: another",
        "::error file=a%2Cb%3Ac.loss,line=1,col=1,endLine=1,endColumn=2,title=LL0101::50%25%0D%0Amore",
    ]
    assert render([], "github") == ""


# ------------------------------------------------------------------------------------------ fixes
def fix(start: int, end: int, text: str, *others: tuple[int, int, str]) -> Diagnostic:
    edits = [Edit(Span(SOURCE, a, b), new) for a, b, new in ((start, end, text), *others)]
    return Diagnostic("LL0101", "m", fix=tuple(edits))


def test_fixes_are_applied_together_where_they_do_not_touch() -> None:
    found = [fix(0, 3, "1"), fix(6, 9, "2"), fix(1, 7, "never")]
    assert mended(SOURCE.text, found) == "1 + 2\nthree*four\n"


def test_a_fix_is_applied_whole_or_not_at_all() -> None:
    found = [fix(0, 3, "1"), fix(2, 4, "never", (10, 15, "nor this")), fix(6, 9, "2", (10, 15, "3"))]
    assert mended(SOURCE.text, found) == "1 + 2\n3*four\n"


def test_one_fix_said_twice_is_applied_once() -> None:
    assert mended(SOURCE.text, [fix(3, 3, "!"), fix(3, 3, "!")]) == "one! + two\nthree*four\n"


@pytest.mark.parametrize("text", [text for text in TEXTS if any(one.fix for one in found_in(Source("t", text)))])
def test_a_fix_mends_what_it_is_for(text: str) -> None:
    """Until there is none left: where reading stops at the first slip, the next one comes to light."""
    for _ in range(5):
        before, text = text, mended(text, found_in(Source("t", text)))
    assert text == before
    assert not any(one.fix for one in found_in(Source("t", text)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("l1(pred^2, a&&b)", None),
        ("x**2*l1", "x^2*l1"),
        ("l1(mask=a&&b)", "l1(mask=a and b)"),
        ("l1(mask=!(a))", "l1(mask=not (a))"),
        ("l1(mask=~m)", "l1(mask=not m)"),
        ("focall(gama=2)", "focal(gamma=2)"),
        ("lpips(net=squeeeze)", "lpips(net=squeeze)"),
        ("tv(order=l2squared)", "tv(order=l2_squared)"),
        ("l1 | uncertainity", "l1 | uncertainty"),
        ("l1(reduce=meen)", None),
        ("bc", None),
        ("focal(detach=True)", "focal(detach=true)"),
        ("l1 + + mse", "l1 +  mse"),
        ("l1(mask=a ≥ 0)", "l1(mask=a >= 0)"),
    ],
)
def test_what_is_mended(text: str, wanted: str | None) -> None:
    first = text
    for _ in range(5):
        text = mended(text, found_in(Source("t", text)))
    assert text == (wanted or text)
    assert wanted is None or text != first


def test_only_one_near_name_is_a_fix() -> None:
    span = Span(Source("s", "gama"), 0, 4)
    assert [edit.text for edit in renamed(span, "gama", ["gamma", "alpha"])] == ["gamma"]
    assert renamed(span, "gama", ["gamma", "gamma2"]) == ()
    assert renamed(span, "gama", ["tau"]) == ()
    assert [edit.text for edit in renamed(Span(Source("s", "L1"), 0, 2), "L1", ["l1", "l2"])] == ["l1"]
