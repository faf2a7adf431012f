"""No text crashes: random valid programs mean the same everywhere, and random broken ones end in diagnostics."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import losslang
from losslang import LosslangError, compiler
from losslang.passes import pipeline
from losslang.source import Source
from losslang.syntax import parser, printer
from tests.passes.programs import as_total, objective, of_module, random_inputs, value_and_gradients

ROOT = Path(__file__).resolve().parents[2]
HEADER = "x, y: real[b, d], z: real[n, d], labels: label[b] < d, m: bool[b, d]"

# ------------------------------------------------------------------------------------------ valid programs
_TAME = ("tanh", "sigmoid", "sin", "abs", "relu", "softplus", "atan", "log_sigmoid")
_MAPS = ("softmax", "log_softmax", "unit", "sort", "cumsum")
_REDUCTIONS = ("sum", "mean", "max", "min", "logsumexp", "prod", "norm", "std", "var")


class Writer:
    """Writes expressions of a loss over ``HEADER``: a matrix [b, d], rows [b] or one number, or a condition."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.known: dict[str, list[str]] = {"matrix": ["x", "y"], "rows": [], "number": ["0.5", "2", "-1"]}

    def one(self, *choices: str) -> str:
        """One of some words."""
        return self.draw(st.sampled_from(choices))

    def write(self, kind: str, depth: int) -> str:
        """An expression of a kind."""
        if depth == 0 or not self.draw(st.integers(0, 3)):
            leaves = self.known[kind]
            return self.draw(st.sampled_from(leaves)) if leaves else "mean[d](x)"
        return {"matrix": self._matrix, "rows": self._rows, "number": self._number}[kind](depth - 1)

    def _matrix(self, depth: int) -> str:
        inner = self.write("matrix", depth)
        match self.draw(st.integers(0, 5)):
            case 0:
                return f"({inner} {self.one('+', '-', '*')} {self.write('matrix', depth)})"
            case 1:
                return f"({inner} {self.one('+', '*')} {self.write('rows', depth)})"
            case 2:
                return f"{self.one(*_TAME)}({inner})"
            case 3:
                return f"{self.one(*_MAPS)}[d]({inner})"
            case 4:
                return f"({inner} if {self.condition(depth)} else {self.write('matrix', depth)})"
            case _:
                return f"({inner})/(1 + abs({self.write('matrix', depth)}))"

    def _rows(self, depth: int) -> str:
        inner = self.write("matrix", depth)
        match self.draw(st.integers(0, 6)):
            case 0:
                return f"{self.one(*_REDUCTIONS)}[d]({inner})"
            case 1:
                return f"{self.one('sum', 'mean', 'std')}[d if {self.condition(depth)}]({inner})"
            case 2:
                return f"({self.write('rows', depth)} {self.one('+', '-', '*')} {self.write('rows', depth)})"
            case 3:
                return f"{self.one('dot', 'cosine', 'euclidean')}({inner}, {self.write('matrix', depth)})"
            case 4:
                return f"tanh({inner})[labels]"
            case 5:
                return f"logsumexp[n](dot(tanh({inner}), z))"
            case _:
                return f"sum[d]({inner} if d == labels else 0)"

    def _number(self, depth: int) -> str:
        match self.draw(st.integers(0, 2)):
            case 0:
                return f"mean[b]({self.write('rows', depth)})"
            case 1:
                return f"max[b, d]({self.write('matrix', depth)})"
            case _:
                return f"({self.write('number', depth)} + 1/size(b))"

    def condition(self, depth: int) -> str:
        """A condition on the elements of a matrix."""
        match self.draw(st.integers(0, 3)):
            case 0:
                return "m"
            case 1:
                return f"{self.write('matrix', depth)} {self.one('<', '>', '>=')} {self.write('number', depth)}"
            case 2:
                return "d != labels"
            case _:
                return f"not {self.write('matrix', depth)} > 0 and m"


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A file with one loss of the user's own, beside losses of the library."""
    writer, lines = Writer(draw), list[str]()
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["matrix", "rows", "number"]))
        name, value = f"v{number}", writer.write(kind, 3)
        left = {"matrix": f"{name}[b, d]", "rows": f"{name}[b]", "number": name}[kind]
        lines.append(f"{draw(st.sampled_from([name, left]))} = {value}")
        writer.known[kind] = [*writer.known[kind], name]
    if draw(st.booleans()):
        lines.append(f"pair[b, j if b != j] = tanh(dot({writer.write('matrix', 2)}, x[j]))")
        writer.known["rows"].append("mean[j](pair)")
    result = f"tanh({writer.write('rows', 3)})"
    body = "\n    ".join([*lines, result])
    other = draw(st.sampled_from(["", " + 0.1*l1(x, y)", " + ce(logits=x, labels=labels)", " - 0.5*cosine(x, y)"]))
    weight = draw(st.sampled_from(["", "2*", "0.5*"]))
    return f"loss f({HEADER}) -> [b]:\n    {body}\n\nobjective main({HEADER}): {weight}f{other}\n"


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_a_program_is_printed_as_it_was_read(text: str) -> None:
    module = parser.parse_module(Source("text.loss", text))
    printed = printer.print_module(module)
    assert parser.parse_module(Source("text.loss", printed)) == module


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_what_checks_runs_and_means_the_same_after_the_passes(text: str) -> None:
    of = objective(text)
    inputs = random_inputs(of)
    planned = pipeline.run(of)
    assert planned.total is not None
    with np.errstate(all="ignore"):
        written = value_and_gradients(as_total(of), of, inputs)
        passed = value_and_gradients(planned.total, of, inputs)
    for a, b in zip(passed, written, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_what_checks_trains(text: str) -> None:
    of = objective(text)
    inputs = random_inputs(of)
    meant = [code for code in losslang.diagnostics.CODES if code.startswith("LL08")]
    found = of_module(losslang.compile(text, backend="eager", allow=meant), of, inputs)
    with np.errstate(all="ignore"):
        wanted = value_and_gradients(as_total(of), of, inputs)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-7, atol=1e-9)
    for ours, theirs in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


# ------------------------------------------------------------------------------------------ broken programs
TEXTS = [
    path.read_text(encoding="utf-8") for folder in ("stdlib", "examples") for path in (ROOT / folder).glob("*.loss")
]
FIXTURES = [
    path.read_text(encoding="utf-8").split("---\n")[0]
    for path in sorted((ROOT / "tests" / "front" / "errors").glob("*.loss"))
]
TOKENS = [
    *("(", ")", "[", "]", ":", ",", "=", "==", "->", "|", "if", "else", "and", "not", "in", "..", "...", "^", "**"),
    *("loss", "fn", "objective", "balancer", "use", "as", "auto", "none", "last", "grad", "iterate", "argmin", "stop"),
    *("1e999", "-0", "0x10", "'", '"', "@", "#", "##", "\\", ";", "?", "<", "\n", "\n    ", "\t", "\0", "\ufeff"),
    *("τ", "é", "\u202e", "😀", "lambda", "__import__('os')", "x.y.z", "vgg16", "1.5.2", "0.5*", "softmax[c]"),
]


def small(text: str, at: random.Random) -> str:
    """One or two definitions of a text, so that a case is quick."""
    parts = text.split("\n\n")
    start = at.randrange(len(parts))
    return "\n\n".join(parts[start : start + at.randint(1, 2)])


def corrupted(text: str, at: random.Random) -> str:
    """A text with a few slips in it."""
    for _ in range(at.randint(1, 4)):
        i, j = sorted((at.randint(0, len(text)), at.randint(0, len(text))))
        j = min(j, i + at.randint(1, 20))
        match at.randint(0, 4):
            case 0:
                text = text[:i] + text[j:]
            case 1:
                text = text[:i] + at.choice(TOKENS) + text[i:]
            case 2:
                text = text[:i] + text[i:j] + text[i:]
            case 3:
                words = [word for word in text.replace("(", " ").replace(")", " ").split() if word]
                text = text[:i] + (at.choice(words) if words else "x") + text[j:]
            case _:
                text = text[:i] + chr(at.choice([at.randrange(32, 127), at.randrange(0x80, 0x2FFF)])) + text[i + 1 :]
    return text


@pytest.mark.parametrize("seed", range(8))
def test_corrupted_texts_end_in_diagnostics(seed: int) -> None:
    """Of the library, the examples and the corpus of mistakes."""
    at = random.Random(seed)
    for _ in range(120):
        text = corrupted(small(at.choice([*TEXTS, *FIXTURES]), at), at)
        for one in compiler.diagnose(text):
            assert one.message and one.code in losslang.diagnostics.CODES
        try:
            losslang.check(text)
        except LosslangError as problem:
            assert str(problem)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_end_in_diagnostics(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.loss"
    path.write_bytes(data)
    try:
        losslang.check(path)
    except LosslangError as problem:
        assert str(problem)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_characters_end_in_diagnostics(text: str) -> None:
    try:
        losslang.check(text)
    except LosslangError as problem:
        assert str(problem)


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "(" * MEGABYTE,
        "l1(" * (MEGABYTE // 3),
        "[" * MEGABYTE,
        "-" * (MEGABYTE // 10),
        "l1 + " * (MEGABYTE // 20),
        "x" * MEGABYTE,
        "9" * MEGABYTE,
        '"' + "x" * MEGABYTE,
        "# comment\n" * (MEGABYTE // 10),
        "\0" * MEGABYTE,
        "\n" * MEGABYTE,
        "é" * MEGABYTE,
        "loss f(x: real[b]) -> [b]: x\n" * (MEGABYTE // 200),
        "l1 if " * (MEGABYTE // 6),
        "a.b" * (MEGABYTE // 3),
        "l1 | " * (MEGABYTE // 20),
        "l1 as a" * (MEGABYTE // 7),
    ],
    ids=lambda text: repr(text[:6]),
)
def test_a_megabyte_ends_in_diagnostics(text: str) -> None:
    with pytest.raises(LosslangError) as caught:
        losslang.check(text)
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("text", ["l1(\u0eb3x)", "\u0eb31(mean)", "auto(1\u09da*pred)"])
def test_what_only_continues_a_name_begins_none(text: str) -> None:
    with pytest.raises(LosslangError, match="LL0101"):
        losslang.check(text)


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.loss"
    path.write_bytes(b"l1 +\x80")
    with pytest.raises(LosslangError, match=r"(?s)LL0105.*byte 4.*0x80"):
        losslang.check(path)
    assert [one.code for one in compiler.diagnose(path)] == ["LL0105"]
