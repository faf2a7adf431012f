"""Text to tree: every construct, long and deep texts, the index, and garbage."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losslang.diagnostics import LosslangError, render
from losslang.source import Source, folder
from losslang.syntax import ast
from losslang.syntax.ast import (
    Argument,
    Binary,
    Call,
    Compare,
    Conditional,
    Index,
    Name,
    Number,
    Range,
    Sum,
    Unary,
)
from losslang.syntax.parser import (
    index_module,
    parse_definition,
    parse_expression,
    parse_module,
    parse_type,
)

HERE = Path(__file__).parent
FILES = [HERE / "language.loss", *sorted((HERE / "library").glob("*.loss"))]
ERRORS = sorted(path for path in (HERE / "errors").glob("LL01*.loss") if "itself" not in path.name)


def expression(text: str) -> ast.Expression:
    return parse_expression(Source("<expression>", text))


def module(text: str) -> ast.Module:
    return parse_module(Source("<module>", text))


def definition(text: str) -> ast.Definition:
    (item,) = module(text).items
    assert isinstance(item, ast.Definition)
    return item


def read(path: Path) -> Source:
    return Source(path.name, path.read_text("utf-8"))


A, B, C, D, X = (Name(name) for name in "abcdx")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b - c", Sum((("+", A), ("+", B), ("-", C)))),
        ("(a + b) - c", Sum((("+", Sum((("+", A), ("+", B)))), ("-", C)))),
        ("-a + b", Sum((("+", Unary("-", A)), ("+", B)))),
        ("a*b/c", Binary("/", Binary("*", A, B), C)),
        ("-x^2", Unary("-", Binary("^", X, Number(2)))),
        ("2^-3", Binary("^", Number(2), Unary("-", Number(3)))),
        ("a^b^c", Binary("^", A, Binary("^", B, C))),
        ("-a*b", Binary("*", Unary("-", A), B)),
        ("--a", Unary("-", Unary("-", A))),
        ("a < b <= c", Compare((A, B, C), ("<", "<="))),
        ("not a and b or c", Binary("or", Binary("and", Unary("not", A), B), C)),
        ("a if b else c if d else x", Conditional(A, B, Conditional(C, D, X))),
        ("0..1", Range(Number(0), Number(1))),
        (".5..1.5", Range(Number(0.5), Number(1.5))),
        ("-1..1", Range(Unary("-", Number(1)), Number(1))),
        ("a in b", ast.Member(A, B)),
        ("a in 0..1", ast.Member(A, Range(Number(0), Number(1)))),
        ("a + b as c", Sum((("+", A), ("+", ast.Labelled(B, "c"))))),
        ("a | b | c(x)", ast.Pipe(ast.Pipe(A, "b"), "c", (Argument(X),))),
        ("(a | b) + c", Sum((("+", ast.Pipe(A, "b")), ("+", C)))),
        ("a(b)(c)", Call(Call(A, (Argument(B),)), (Argument(C),))),
        ("a(b, x=c,)", Call(A, (Argument(B), Argument(C, "x")))),
        ("a(x=b == c)", Call(A, (Argument(Compare((B, C), ("==",)), "x"),))),
        ("a[b, ..., x=c if d]", Index(A, (B, ast.Rest(), ast.NamedIndex("x", C)), D)),
        ("[a, ...]", ast.ListOf((A, ast.Rest()))),
        ("[[2.0, 0.5]]", ast.ListOf((ast.ListOf((Number(2.0), Number(0.5))),))),
        ('"text"', ast.String("text")),
        ("1e-6", Number(1e-6)),
        ("τ*loss", Binary("*", Name("τ"), Name("loss"))),
        ("iffy", Name("iffy")),
        ("notx", Name("notx")),
    ],
)
def test_expressions(text: str, tree: ast.Expression) -> None:
    assert expression(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("real", ast.TensorType("real")),
        ("real?", ast.TensorType("real", optional=True)),
        ("real >= 0", ast.TensorType("real", bounds=(ast.Bound(">=", Number(0)),))),
        (
            "box[n] in xyxy",
            ast.TensorType("box", ((ast.Axis("n"),),), bounds=(ast.Bound("in", Name("xyxy")),)),
        ),
        ("real[l][b, ...]", ast.TensorType("real", ((ast.Axis("l"),), (ast.Axis("b"), ast.Axis("..."))))),
        ("image[c=3, 4]", ast.TensorType("image", ((ast.Axis("c", 3), ast.Axis(None, 4)),))),
        ("l1 | l2", ast.ChoiceType(("l1", "l2"))),
        ("real -> bool", ast.FunctionType(ast.TensorType("real"), ast.TensorType("bool"))),
    ],
)
def test_types(text: str, tree: ast.Type) -> None:
    assert parse_type(Source("<type>", text)) == tree


def test_bounds_with_a_negative_end() -> None:
    kind = parse_type(Source("<type>", "image[b] in -1..1"))
    assert isinstance(kind, ast.TensorType)
    assert kind.bounds == (ast.Bound("in", Range(Unary("-", Number(1)), Number(1))),)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_definition_parses(path: Path) -> None:
    heads = re.findall(r"^(?:loss|fn|balancer|objective) +\w+|^\w+ = |^use ", read(path).text, re.MULTILINE)
    assert len(parse_module(read(path)).items) == len(heads)


def test_bare_names_share_the_type_that_follows() -> None:
    found = definition("loss f(a, b: real[i], c, d: int = 2, e = 1, f): a")
    real, whole = ast.TensorType("real", ((ast.Axis("i"),),)), ast.TensorType("int")
    assert [parameter.type for parameter in found.parameters] == [real, real, whole, whole, None, None]


def test_the_left_side_of_a_binding() -> None:
    found = definition("loss f():\n    x[i, k < n, c=3, ... if a] = b\n    y = x\n    y")
    left = (ast.Axis("i"), ast.Axis("k", bound=Name("n")), ast.Axis("c", 3), ast.Axis("..."))
    assert found.bindings == (ast.Binding("x", ast.Axes(left, A), B), ast.Binding("y", None, X))


def test_result_and_normaliser() -> None:
    found = definition("loss f(x) -> [i if any[j](a)] / b + c: x")
    assert found.result == ast.Axes((ast.Axis("i"),), Call(Index(Name("any"), (Name("j"),)), (Argument(A),)))
    assert found.normaliser == Sum((("+", B), ("+", C)))


def test_documentation() -> None:
    found = module("## The file.\n\n##  Over two.\n\n## Of f.\n# no\n##\n## More.\n@nonneg\n## Last.\nfn f(x): x  ##\n")
    assert found.doc == "The file.\n\n Over two."
    (item,) = found.items
    assert isinstance(item, ast.Definition)
    assert item.doc == "Of f.\n\nMore.\nLast."


def test_documentation_above_a_use_is_that_of_the_file() -> None:
    assert module("## The file.\nuse image\n").doc == "The file."


# ------------------------------------------------------------------------------------------ layout
FOLDED = [
    "a + b*c | d",
    "a\n+ b\n* c\n| d",
    "  a\n    + b\n\n    # why\n    *c   # why not\n    |d\n",
    "a +\nb *\nc |\nd",
    "\n\na + b*c\n|\nd",
]


@pytest.mark.parametrize("text", FOLDED)
def test_folding_an_expression_changes_nothing(text: str) -> None:
    assert expression(text) == expression(FOLDED[0])


def test_folding_before_a_minus() -> None:
    assert expression("a\n- b\n-\nc") == expression("a - b - c")
    assert expression("-\na") == expression("-a")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n   \n", "  # comment", "\n    # comment", "\n# comment"])
def test_ends_of_files(end: str) -> None:
    text = "loss f(x):\n    y = x\n    y\n    + 1"
    assert module(text + end) == module(text)


def test_carried_on_lines_in_a_body() -> None:
    folded = "loss f(x):\n    y = x\n        * 2\n\n        # so\n  / 3\n    y\n| g\n"
    assert module(folded) == module("loss f(x):\n    y = x * 2 / 3\n    y | g")


def test_line_breaks_within_brackets() -> None:
    folded = "loss f(\nx,  # first\n\n    y\n) -> [\n  i\n]: g(\nx\n- y)\n"
    assert module(folded) == module("loss f(x, y) -> [i]: g(x - y)")


def test_windows_line_ends() -> None:
    text = (HERE / "language.loss").read_text("utf-8")
    assert module(text.replace("\n", "\r\n")) == module(text)


# ------------------------------------------------------------------------------------------ places
def test_places() -> None:
    text = "loss f(x):\n    y = (a + b)*c\n    sum[i](y)\n"
    found = definition(text)
    (binding,) = found.bindings
    assert binding.span.text == "y = (a + b)*c"
    assert binding.value.span.text == "(a + b)*c"
    assert isinstance(binding.value, Binary)
    assert binding.value.left.span.text == "(a + b)"
    assert found.value.span.text == "sum[i](y)"
    assert str(found.value.span) == "<module>:3:5"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_places_lie_within_each_other(path: Path) -> None:
    for node in ast.walk(parse_module(read(path))):
        for child in ast.children(node):
            shared_type = isinstance(node, ast.Parameter) and isinstance(child, ast.Type)
            assert shared_type or (node.span.start <= child.span.start and child.span.end <= node.span.end)


# ------------------------------------------------------------------------------------------ the index
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_index_agrees_with_the_parser(path: Path) -> None:
    source = read(path)
    parsed, chunks = parse_module(source).items, index_module(source)
    assert len(chunks) == len(parsed)
    for chunk, item in zip(chunks, parsed, strict=True):
        one = parse_definition(source, chunk.start, chunk.end)
        assert one == item
        assert one.span == item.span
        kind = "use" if isinstance(item, ast.Use) else "alias" if isinstance(item, ast.Alias) else item.keyword
        name = ".".join(item.path) if isinstance(item, ast.Use) else item.name
        assert (chunk.keyword, chunk.name) == (kind, name)


def test_the_index_is_not_fooled() -> None:
    text = (
        '## doc of f\n@paper("(loss g", eq=4) @nonneg loss f(\nx,\ngamma = 2,\nloss: real): # loss h(\n'
        "    fn_ = x\n    loss\n\n# loss k(x)\n@nonneg a = 1 - f\nuse b . c\n"
    )
    found = index_module(Source("<module>", text))
    assert [(chunk.keyword, chunk.name) for chunk in found] == [("loss", "f"), ("alias", "a"), ("use", "b.c")]
    assert text[found[0].start :].startswith("## doc")
    assert text[: found[0].end].endswith("    loss")
    assert [item.doc for item in module(text).items[:2] if not isinstance(item, ast.Use)] == ["doc of f", ""]


def test_the_index_recovers_behind_an_open_bracket() -> None:
    found = index_module(Source("<module>", "loss f(x:\n    x\n\nloss g(x): x\n"))
    assert [chunk.name for chunk in found] == ["f", "g"]


# ------------------------------------------------------------------------------------------ long and deep
def test_a_sum_of_ten_thousand_terms() -> None:
    begin = time.perf_counter()
    found = expression(" + ".join(f"0.5*l{i}" for i in range(10_000)))
    assert time.perf_counter() - begin < 10
    assert isinstance(found, Sum)
    assert len(found.terms) == 10_000
    assert found == expression(found.span.text)
    assert hash(found)
    assert repr(found)
    assert ast.depth(found) == 3
    assert len(list(ast.walk(found))) == 30_001
    assert isinstance(found, ast.Sum)
    assert len(found.terms) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "x" + ")" * 5000,
        "[" * 5000,
        "f(" * 150 + "x" + ")" * 150,
        "-" * 5000 + "x",
        "not " * 5000 + "x",
        "*".join("x" * 5000),
        "^".join("x" * 5000),
        " and ".join("x" * 5000),
        " if x else ".join("x" * 5000),
        "x" + "(x)" * 5000,
        "x" + "[i]" * 5000,
        "x" + " | g" * 5000,
    ],
    ids=range(12),
)
def test_what_nests_too_deeply_is_an_error(text: str) -> None:
    with pytest.raises(LosslangError, match="LL0103"):
        expression(text)


def test_what_nests_to_the_limit_is_none() -> None:
    deepest = expression("-" * (ast.MAX_DEPTH - 1) + "x")
    assert deepest == expression(deepest.span.text)
    assert hash(deepest) == hash(expression(deepest.span.text))
    assert expression("(" * 200 + "x" + ")" * 200) == X


# ------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_errors(path: Path, update_golden: bool) -> None:
    text, _, wanted = path.read_text("utf-8").partition("\n---\n")
    parse: Callable[[Source], object] = parse_module if re.match(r"LL\d+-file-", path.name) else parse_expression
    with pytest.raises(LosslangError) as caught:
        parse(Source(path.name, text))
    found = render(caught.value.diagnostics)
    assert path.name[:6] in {diagnostic.code for diagnostic in caught.value.diagnostics}
    if update_golden:
        path.write_text(f"{text}\n---\n{found}\n", "utf-8")
    else:
        assert found == wanted.rstrip("\n")


def test_several_definitions_are_reported_together() -> None:
    with pytest.raises(LosslangError) as caught:
        module("fn f(x): x y\n\nfn g(x): x\n\nfn h(x): x z\n")
    lines = [str(diagnostic.span) for diagnostic in caught.value.diagnostics]
    assert lines == ["<module>:1:12", "<module>:5:12"]


def test_an_empty_file_is_an_empty_module() -> None:
    assert module("\n# nothing\n") == ast.Module(())


PARSERS = st.sampled_from([parse_expression, parse_module, parse_type])
WORDS = st.sampled_from(
    [
        "loss",
        "fn",
        "use",
        "objective",
        "balancer",
        "if",
        "else",
        "and",
        "or",
        "not",
        "in",
        "as",
        "x",
        "y",
        "2",
        "0.5",
        "1e9",
        "(",
        ")",
        "[",
        "]",
        "+",
        "-",
        "*",
        "/",
        "^",
        "|",
        ",",
        ":",
        "=",
        "==",
        "<",
        "..",
        "...",
        "->",
        "@",
        "?",
        ".",
        '"',
        "'",
        "#",
        "##",
        "&",
        ";",
        "**",
        "\n",
        "\n\n",
        "\t",
        "\r",
        "\r\n",
        "\xa0",
        "λ",
        "²",
        "é",
    ]
    + ["\n    ", "\n  ", " ", "\n"]
)


def only_losslang_errors(parse: Callable[[Source], object], text: str) -> None:
    try:
        parse(Source("<fuzz>", text))
    except LosslangError as failure:
        assert render(failure.diagnostics)
        for diagnostic in failure.diagnostics:
            assert diagnostic.as_dict()
    index_module(Source("<fuzz>", text))


@given(parse=PARSERS, text=st.text(max_size=60))
def test_no_text_escapes(parse: Callable[[Source], object], text: str) -> None:
    only_losslang_errors(parse, text)


@given(parse=PARSERS, words=st.lists(WORDS, max_size=30))
def test_no_heap_of_words_escapes(parse: Callable[[Source], object], words: list[str]) -> None:
    only_losslang_errors(parse, " ".join(words))
    only_losslang_errors(parse, "".join(words))


CHUNKS = [source.text[chunk.start : chunk.end] for source in map(read, FILES) for chunk in index_module(source)]


@given(data=st.data(), text=st.sampled_from(CHUNKS))
def test_no_damaged_definition_escapes(data: st.DataObject, text: str) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(WORDS) + text[at + data.draw(st.integers(0, 3)) :]
    only_losslang_errors(parse_module, text)


# ------------------------------------------------------------------------------------------ the grammar
def test_the_grammar_has_no_conflicts() -> None:
    pytest.importorskip("interegular", reason="lark needs it for strict=True")
    from lark import Lark

    from losslang.syntax.parser import LAYOUT, STARTS

    grammar = (folder("grammar") / "losslang.lark").read_text("utf-8")
    Lark(grammar, parser="lalr", start=STARTS, strict=True, postlex=LAYOUT)


def readme_blocks() -> list[tuple[str, str]]:
    text = (folder("grammar") / "README.md").read_text("utf-8")
    return re.findall(r"^```(losslang|expression|type)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("kind", "text"), readme_blocks())
def test_the_examples_of_the_grammar(kind: str, text: str) -> None:
    if kind == "losslang":
        module(text)
    else:
        for line in filter(str.strip, text.split("\n")):
            (expression if kind == "expression" else lambda text: parse_type(Source("<type>", text)))(line)


def test_the_parser_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from losslang.syntax.parser import *; from losslang.source import Source; "
        "parse_expression(Source('e', 'l1 + 0.5*l2')); assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent.parent)
