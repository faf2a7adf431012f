"""Tree to text and back, the canonical layout, and what happens to comments."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losslang.source import Source
from losslang.syntax import ast
from losslang.syntax.fill import WIDTH
from losslang.syntax.parser import index_module, parse_definition, parse_expression, parse_module, parse_type
from losslang.syntax.printer import (
    format_source,
    print_definition,
    print_expression,
    print_module,
    print_type,
)

HERE = Path(__file__).parent
FILES = [HERE / "language.loss", *sorted((HERE / "library").glob("*.loss"))]


def read(path: Path) -> Source:
    return Source(path.name, path.read_text("utf-8"))


def expression(text: str) -> ast.Expression:
    return parse_expression(Source("<expression>", text))


def module(text: str) -> ast.Module:
    return parse_module(Source("<module>", text))


# ------------------------------------------------------------------------------------------ any tree
NAMES = st.sampled_from(["x", "loss", "use", "fn", "τ", "l1", "balancer", "objective", "pos_weight"])
NUMBERS = st.integers(0, 10**20) | st.floats(0, allow_infinity=False, allow_nan=False)
PLAIN = (
    st.builds(ast.Number, NUMBERS) | st.builds(ast.Name, NAMES) | st.builds(ast.String, st.text("abc[)#' ", max_size=4))
)


def tuples(elements: st.SearchStrategy[ast.Node], low: int = 0, high: int = 3):
    return st.lists(elements, min_size=low, max_size=high).map(tuple)


def compared(inner: st.SearchStrategy[ast.Expression]) -> st.SearchStrategy[ast.Compare]:
    pairs = st.lists(st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner), min_size=1, max_size=3)
    return st.builds(
        lambda first, rest: ast.Compare((first, *(x for _, x in rest)), tuple(op for op, _ in rest)),
        inner,
        pairs,
    )


def summed(inner: st.SearchStrategy[ast.Expression]) -> st.SearchStrategy[ast.Sum]:
    rest = st.lists(st.tuples(st.sampled_from("+-"), inner), min_size=1, max_size=4)
    return st.builds(lambda first, rest: ast.Sum((("+", first), *rest)), inner, rest)


def larger(inner: st.SearchStrategy[ast.Expression]) -> st.SearchStrategy[ast.Expression]:
    callee = inner.filter(lambda node: not isinstance(node, ast.Number | ast.String))
    argument = st.builds(ast.Argument, inner, st.none() | NAMES)
    item = inner | st.builds(ast.Rest) | st.builds(ast.NamedIndex, NAMES, inner)
    return st.one_of(
        st.builds(ast.Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(ast.Binary, st.sampled_from(["*", "/", "^", "and", "or"]), inner, inner),
        summed(inner),
        compared(inner),
        st.builds(ast.Conditional, inner, inner, inner),
        st.builds(ast.Range, inner, inner),
        st.builds(ast.Member, inner, inner),
        st.builds(ast.Call, callee, tuples(argument)),
        st.builds(ast.Index, callee, tuples(item, 1), st.none() | inner),
        st.builds(ast.ListOf, tuples(inner | st.builds(ast.Rest))),
        st.builds(ast.Labelled, inner, NAMES),
        st.builds(ast.Pipe, inner, NAMES, tuples(argument)),
    )


EXPRESSIONS = st.recursive(PLAIN, larger, max_leaves=20)
AXIS = st.one_of(
    st.builds(ast.Axis, NAMES, st.none() | st.integers(0, 9)),
    st.builds(ast.Axis, st.none(), st.integers(1, 9)),
    st.builds(ast.Axis, NAMES, st.none(), EXPRESSIONS),
    st.just(ast.Axis("...")),
)
BOUND = st.builds(ast.Bound, st.sampled_from(["<", ">=", "in"]), EXPRESSIONS).filter(
    lambda bound: bound.op == "in" or not isinstance(bound.value, ast.Range)
)
TENSOR = st.builds(ast.TensorType, NAMES, tuples(tuples(AXIS, 1), 0, 2), st.booleans(), tuples(BOUND, 0, 2))
TYPES = st.one_of(
    TENSOR,
    st.builds(ast.FunctionType, TENSOR, TENSOR),
    st.builds(ast.ChoiceType, st.lists(NAMES, min_size=2, max_size=3).map(tuple)),
)
TYPED = st.builds(ast.Parameter, NAMES, TYPES, st.none() | EXPRESSIONS)
BARE = st.builds(ast.Parameter, NAMES, st.none(), EXPRESSIONS)
SIDE = st.one_of(
    st.builds(ast.Axis, NAMES, st.none() | st.integers(0, 9)),
    st.builds(ast.Axis, NAMES, st.none(), EXPRESSIONS),
    st.just(ast.Axis("...")),
)
BINDING = st.builds(
    ast.Binding, NAMES, st.none() | st.builds(ast.Axes, tuples(SIDE, 1), st.none() | EXPRESSIONS), EXPRESSIONS
)
DECORATORS = tuples(st.builds(ast.Decorator, NAMES, tuples(st.builds(ast.Argument, EXPRESSIONS, st.none() | NAMES))))
DOC = st.lists(st.sampled_from(["", "One line.", "  indented", "# marked"]), max_size=3).map("\n".join)
DEFINITION = st.builds(
    ast.Definition,
    st.sampled_from(["loss", "fn", "balancer", "objective"]),
    NAMES,
    tuples(AXIS, 0, 2),
    tuples(TYPED | BARE),
    st.none() | st.builds(ast.Axes, tuples(AXIS, 1), st.none() | EXPRESSIONS),
    st.none(),
    tuples(BINDING, 0, 2),
    EXPRESSIONS,
    DECORATORS,
    DOC,
)
ALIAS = st.builds(ast.Alias, NAMES, EXPRESSIONS, DECORATORS, DOC)
USE = st.builds(ast.Use, st.lists(NAMES, min_size=1, max_size=2).map(tuple), st.none() | NAMES)


@given(EXPRESSIONS)
def test_any_expression_is_read_back(node: ast.Expression) -> None:
    text = print_expression(node)
    assert "\n" not in text
    assert expression(text) == node
    assert print_expression(expression(text)) == text
    assert expression(print_expression(node, width=40)) == node


@given(TYPES)
def test_any_type_is_read_back(node: ast.Type) -> None:
    assert parse_type(Source("<type>", print_type(node))) == node


@given(DEFINITION | ALIAS | USE)
def test_any_definition_is_read_back(node: ast.Definition | ast.Alias | ast.Use) -> None:
    text = print_definition(node)
    assert parse_definition(Source("<module>", text), 0, len(text)) == node
    assert format_source(Source("<module>", text)) == text


# ---------------------------------------------------------------------------------------- brackets and blanks
@pytest.mark.parametrize(
    "text",
    [
        "a + b - c",
        "a - (b - c)",
        "(a + b) + c",
        "a * b / c",
        "a / (b * c)",
        "0.5*lpips(vgg) + focal(gamma=2) + infonce(tau=auto)",
        "-(1 - exp(logp))^gamma * logp",
        "-x^2",
        "(-x)^2",
        "2^-3^2",
        "(a^b)^c",
        "-(a * b)",
        "a if b else c if d else e",
        "(a if b else c) if d else e",
        "not (a and b) or c",
        "(a == b) == c",
        "0 < a <= b",
        "x[(a if b else c)]",
        "[a if b else c]",
        "f(a | b)",
        "(a + b | uncertainty) + 0.1*c",
        "0.5 * vanilla_d(x) as gan",
        "(a + b as c)*d + e",
        "argmax[z in ball(linf, eps, at=x, within=0..1)](f)",
        "net(weights=random(seed=0))(x)",
        "x in -1..1",
    ],
)
def test_brackets_only_where_needed(text: str) -> None:
    assert print_expression(expression(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.50", "1.5"),
        ("1E-06", "1e-6"),
        (".5", "0.5"),
        ("1e20", "1e20"),
        ("((a))*( b )", "a * b"),
        ("a+b *c", "a + b*c"),
        ("f( a ,b= 2 , )", "f(a, b=2)"),
        ("x [ i+1 , ... if a ]", "x[i + 1, ... if a]"),
        ("a\n\n+ b # why", "a + b"),
    ],
)
def test_canonical_spelling(text: str, canonical: str) -> None:
    assert print_expression(expression(text)) == canonical


# ------------------------------------------------------------------------------------------ files
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_are_read_back(path: Path) -> None:
    source = read(path)
    tree = parse_module(source)
    printed = print_module(tree)
    assert module(printed) == tree
    assert print_module(module(printed)) == printed
    assert max(map(len, printed.split("\n"))) <= WIDTH


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formatting_keeps_tree_and_comments(path: Path) -> None:
    source = read(path)
    text = format_source(source)
    assert module(text) == parse_module(source)
    assert format_source(Source(path.name, text)) == text
    assert text.count("#") == source.text.count("#")


@pytest.mark.parametrize("path", sorted((HERE / "format").glob("*.loss")), ids=lambda path: path.stem)
def test_format(path: Path, update_golden: bool) -> None:
    before, _, after = path.read_text("utf-8").partition("\n---\n")
    text = format_source(Source(path.name, before + "\n"))
    if update_golden:
        path.write_text(f"{before}\n---\n{text}", "utf-8")
    assert text == path.read_text("utf-8").partition("\n---\n")[2]
    assert format_source(Source(path.name, text)) == text
    assert module(text) == module(before + "\n")


CHUNKS = [source.text[chunk.start : chunk.end] for source in map(read, FILES) for chunk in index_module(source)]


@given(data=st.data(), texts=st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=3))
def test_comments_anywhere_survive(data: st.DataObject, texts: list[str]) -> None:
    lines = "\n".join(texts).split("\n")
    for n in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        mark = data.draw(st.sampled_from(["# note", "## note"])) + f" {n}"
        margin = data.draw(st.sampled_from(["", "    "]))
        extra = data.draw(st.sampled_from(["before", "gap", "end"]))
        if extra == "end":
            lines[at] += f"  {mark}" if "#" not in lines[at] else ""
        else:
            lines[at:at] = [margin + mark, ""] if extra == "gap" else [margin + mark]
    source = Source("<module>", "\n".join(lines))
    text = format_source(source)
    assert text.count("note") == source.text.count("note")
    assert module(text) == parse_module(source)
    assert format_source(Source("<module>", text)) == text


def test_ten_thousand_terms() -> None:
    node = expression(" - ".join(["2*l1"] * 10_000))
    assert expression(print_expression(node)) == node
    folded = print_expression(node, width=WIDTH)
    text = f"objective f(x):\n    y = {print_expression(node)}\n    y\n"
    assert expression(folded) == node
    assert max(map(len, format_source(Source("<module>", text)).split("\n"))) <= WIDTH
