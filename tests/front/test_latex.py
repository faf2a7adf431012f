"""Formulas in LaTeX."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from losslang.source import Source
from losslang.syntax import ast
from losslang.syntax.latex import latex
from losslang.syntax.parser import parse_expression, parse_module
from tests.front.test_printer import EXPRESSIONS, FILES, read

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("a / b", r"\frac{a}{b}"),
        ("x^2 * y", r"x^{2} \, y"),
        ("(a + b) * 2", r"\left(a + b\right) \cdot 2"),
        ("2 * x", "2 x"),
        ("1e-6 * x", r"10^{-6} x"),
        ("-a * b", r"-a \, b"),
        ("a * (-b)", r"a \, \left(-b\right)"),
        ("a - (b - c)", r"a - \left(b - c\right)"),
        ("sum[i, j if i != j](x[i, j])", r"\sum_{i, j : i \ne j} x_{ij}"),
        ("sum[i](x) * y", r"\left(\sum_{i} x\right) \, y"),
        ("y * sum[i](x) * z", r"\left(y \, \sum_{i} x\right) \, z"),
        ("mean[j](a + b)", r"\operatorname*{mean}_{j} \left(a + b\right)"),
        ("logsumexp[j](s)", r"\operatorname*{logsumexp}_{j} s"),
        ("exp(log(x))", r"\exp(\log(x))"),
        ("exp(-x / tau)", r"\exp\left(-\frac{x}{\tau}\right)"),
        ("abs(x) + sqrt(y)", r"\lvert x \rvert + \sqrt{y}"),
        ("norm[d](x)", r"\lVert x \rVert_{d}"),
        ("gamma + lam + τ", r"\gamma + \lambda + \tau"),
        ("z1[i] + sigma_max", r"z_{1i} + \sigma_{\mathrm{max}}"),
        ("z[i, 1 - v]", "z_{i, 1 - v}"),
        ("(i == j) * x", r"\mathbb{1}[i = j] \, x"),
        (
            "a if b else c if d else e",
            r"\begin{cases} a & \text{if } b \\ c & \text{if } d \\ e & \text{otherwise} \end{cases}",
        ),
        ("grad[x](f)", r"\nabla_{x} f"),
        ("last(m, 0)", "m^{(t-1)}"),
        ("0.5*l1(a, b) as pixel", r"\underbrace{0.5 \operatorname{l1}(a, b)}_{\text{pixel}}"),
        ("a | gradfrac(wrt=x)", r"a \;\triangleright\; \operatorname{gradfrac}(\mathrm{wrt} = x)"),
    ],
)
def test_expressions(text: str, formula: str) -> None:
    assert latex(parse_expression(Source("<expression>", text))) == formula


@pytest.mark.parametrize("path", sorted((HERE / "latex").glob("*.loss")), ids=lambda path: path.stem)
def test_definitions(path: Path, update_golden: bool) -> None:
    text, _, wanted = path.read_text("utf-8").partition("\n---\n")
    items = parse_module(Source(path.name, text)).items
    found = "\n\n".join(latex(item) for item in items if isinstance(item, ast.Definition)) + "\n"
    if update_golden:
        path.write_text(f"{text}\n---\n{found}", "utf-8")
    else:
        assert found == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_definition_has_a_formula(path: Path) -> None:
    for item in parse_module(read(path)).items:
        if isinstance(item, ast.Definition):
            assert balanced(latex(item))


@given(EXPRESSIONS)
def test_any_expression_has_a_formula(node: ast.Expression) -> None:
    assert latex(node)


def test_long_and_deep_expressions() -> None:
    assert latex(parse_expression(Source("<expression>", " + ".join(["a*b"] * 10_000))))
    assert latex(parse_expression(Source("<expression>", "*".join(["a"] * 90))))
    assert latex(parse_expression(Source("<expression>", "x" + "^x" * 90)))


def balanced(formula: str) -> bool:
    """Whether braces, fences and environments open as often as they close."""
    pairs = [
        ("{", "}"),
        (r"\left", r"\right"),
        (r"\begin", r"\end"),
        (r"\lvert", r"\rvert"),
        (r"\langle", r"\rangle"),
    ]
    return all(formula.count(opener) == formula.count(closer) for opener, closer in pairs)
