"""Objectives in configs: what folding and quoting leave, the mapping form, and what a wrong config gets."""

from __future__ import annotations

import argparse
import json
import shlex
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import losslang
from losslang import compiler
from losslang.config import json_reader, reading, toml_reader, tree, yaml_reader
from losslang.diagnostics import CODES, Diagnostic, LosslangError, render
from losslang.source import Source

HERE = Path(__file__).parent
ERRORS = sorted(path for path in (HERE / "errors" / "configs").iterdir())

LINES = [
    "l1",
    "0.5*lpips(squeeze) + focal(gamma=2) + infonce(tau=auto) | uncertainty",
    "l1(pred, target) + 0.1*(1 - ssim(pred, target)) as structure",
    "ce(ignore=-100, smoothing=0.1) + 0.01*mse(reduce=sum)",
    "dice(prob=softmax[c](logits), target=labels) + ce",
    'lpips(net=vgg16(weights="a b.pth")) + 1e-3*l1',
    "-ssim - 0.1*ssim(a, b)",
    "τ*l1(mask=target > 0 and target != 3)",
]
LINES = [line.replace("τ*", "2*") for line in LINES]


def digest(text: Any, **options: Any) -> str:
    return compiler.digest(losslang.check(text, **options))


def broken(line: str, width: int) -> str:
    """A text on several lines, broken at blanks outside of quotes."""
    kept = line.replace("a b.pth", "a\0b.pth")
    return textwrap.fill(kept, width, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def indented(text: str, by: int = 2) -> str:
    return textwrap.indent(text, " " * by)


def quoted(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', '\\"')


STYLES = {
    "yaml plain": lambda t: f"lr: 0.1\nobjective: {t}  # a comment\n",
    "yaml plain folded": lambda t: f"objective:\n{indented(broken(t, 20))}\nlr: 1\n",
    "yaml single": lambda t: f"objective: '{t}'\n",
    "yaml single folded": lambda t: f"objective:\n  '{indented(broken(t, 20)).strip()}'\n",
    "yaml double": lambda t: f'objective: "{quoted(t)}"\n',
    "yaml double folded": lambda t: f'objective:\n  "{indented(broken(quoted(t), 20)).strip()}"\n',
    "yaml folded": lambda t: f"objective: >\n{indented(broken(t, 20))}\nlr: 1\n",
    "yaml folded strip": lambda t: f"objective: >-\n{indented(broken(t, 20), 4)}\n\nlr: 1\n",
    "yaml folded keep": lambda t: f"objective: >+  # ours\n{indented(broken(t, 20), 3)}\n\n\nlr: 1\n",
    "yaml folded indent": lambda t: f"objective: >2\n{indented(broken(t, 20))}\nlr: 1\n",
    "yaml literal": lambda t: f"objective: |\n{indented(broken(t, 20))}\n",
    "yaml commented": lambda t: (
        f"objective: >\n{indented(broken(t, 20).replace(chr(10), '  # why' + chr(10)))}\nlr: 1\n"
    ),
    "yaml flow": lambda t: f"{{objective: '{t}', lr: 1}}\n",
    "yaml nested": lambda t: f"objective:\n  terms:\n    all:\n      loss: >\n{indented(t, 8)}\n",
    "yaml anchor": lambda t: f"base: &a\n  objective: '{t}'\n<<: *a\n",
    "json": lambda t: json.dumps({"lr": 0.1, "objective": t}, indent=1),
    "json ascii": lambda t: json.dumps({"objective": t}, ensure_ascii=True),
    "toml basic": lambda t: f'lr = 0.1\nobjective = "{quoted(t)}"  # ours\n',
    "toml literal": lambda t: f"objective = '{t}'\n",
    "toml lines": lambda t: f'objective = """\n{quoted(broken(t, 20))}\n"""\n',
    "toml literal lines": lambda t: f"objective = '''\n{broken(t, 20)}'''\nlr = 1\n",
    "toml escaped breaks": lambda t: (
        f'objective = """\\\n   {quoted(broken(t, 20)).replace(chr(10), " " + chr(92) + chr(10))}"""\n'
    ),
}


def file(folder: Path, style: str, line: str) -> Path:
    path = folder / f"train.{style.split()[0]}"
    path.write_text(STYLES[style](line), encoding="utf-8")
    return path


def read(path: Path) -> Any:
    """As a user reads it."""
    text = path.read_text(encoding="utf-8")
    return {".yaml": yaml.safe_load, ".json": json.loads, ".toml": tomllib.loads}[path.suffix](text)


# ------------------------------------------------------------------------------------------ folding and quoting
@pytest.mark.parametrize("style", [style for style in STYLES if style != "yaml nested"])
@pytest.mark.parametrize("line", LINES)
def test_a_line_survives(tmp_path: Path, style: str, line: str) -> None:
    path = file(tmp_path, style, line)
    assert digest(path) == digest(line)
    if style != "yaml commented":  # a reader that folds loses where a comment ends
        assert digest(read(path)["objective"]) == digest(line)
        assert digest(read(path)) == digest(line)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("line", "culprit"),
    [
        ('l1 + 0.5*mse(mask=target > 0) + focl(gamma=2, logits=softmax[c](x)) + lpips(vgg16(weights="a.pth"))', "focl"),
        ("l1 + 0.5*mse(mask=target > 0) + focal(gamma=2, logits=softmax[c](x), gama=3)", "gama=3"),
        ("l1 + 0.5*mse(mask=target > 0)   +   focal(gamma=2 )  +  0.5 mse", "mse"),
    ],
)
def test_an_error_is_shown_where_it_stands(tmp_path: Path, style: str, line: str, culprit: str) -> None:
    path = file(tmp_path, style, line)
    with pytest.raises(LosslangError) as caught:
        losslang.check(path)
    place = caught.value.diagnostics[0].as_dict()
    assert place["file"] == str(path)
    shown = path.read_text("utf-8").split("\n")[place["line"] - 1][place["column"] - 1 :]
    assert shown.startswith(culprit)


def test_a_file_of_definitions_in_a_config(tmp_path: Path) -> None:
    text = "loss mine(x: real[b]) -> [b]:\n    2*x  # twice\n\nobjective one: mine\n\nobjective two: l1\n"
    for form in ("|", ">"):
        path = tmp_path / "train.yaml"
        path.write_text(f"objective: {form}\n{indented(text)}\n", encoding="utf-8")
        assert digest(path, name="one") == digest(text, name="one")
        path.write_text(f"objective: {form}\n{indented(text.replace('2*x', '2*y'))}\n", encoding="utf-8")
        with pytest.raises(LosslangError) as caught:
            losslang.check(path, name="one")
        assert str(caught.value.diagnostics[0].span) == f"{path}:3:9"


@pytest.mark.parametrize("line", LINES)
def test_a_line_survives_a_shell(line: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objective")
    words = shlex.split(f"train.py --objective={shlex.quote(line)}")
    assert digest(parser.parse_args(words[1:]).objective) == digest(line)


CHARACTERS = st.text(st.sampled_from(list("ab1 .,:#+-*/|()[]=<>\"'\\\n\té τ💥{}%&!?@")), max_size=40)


@given(CHARACTERS, st.sampled_from(["'", '"', "|", ">", None]), st.integers(5, 80))
def test_places_in_yaml(text: str, style: str | None, width: int) -> None:
    dumped = yaml.safe_dump({"a": {"key": text}}, default_style=style, width=width, allow_unicode=True)
    assert yaml.safe_load(dumped)["a"]["key"] == text
    root = yaml_reader.read(Source("x.yaml", dumped)).get("a")
    assert root is not None
    check_places(root.node, text, exact=not (set(dumped.split("\n")[1].split(": ")[-1]) & set("|>")))


@given(CHARACTERS, st.booleans())
def test_places_in_json(text: str, ascii_: bool) -> None:
    check_places(json_reader.read(Source("x.json", json.dumps({"key": text}, ensure_ascii=ascii_))), text)


@given(CHARACTERS)
def test_places_in_toml(text: str) -> None:
    escaped = json.dumps(text, ensure_ascii=False)
    for toml in (
        f"key = {escaped}\n",
        f'key = """{text.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"""\n',
    ):
        wanted = tomllib.loads(toml)["key"]
        check_places(toml_reader.read(Source("x.toml", toml)), wanted)


def check_places(root: tree.Node, text: str, exact: bool = True) -> None:
    """The text is read as it is, but for line breaks in blocks; every letter stands where its place says."""
    entry = root.get("key")
    assert entry is not None and isinstance(entry.node.value, str)
    if exact:
        assert entry.node.value == text
    else:
        assert entry.node.value.split() == text.split()
    source = entry.node.text
    for char, place in zip(source.text, source.offsets, strict=bool(source.text)):
        there = root.span.source.text[place]
        assert char == there or there == "\\" or (char.isspace() and there.isspace())


def test_a_comment_swallows_no_term() -> None:
    folded = yaml.safe_load("objective: >\n  l1  # the pixels\n  + mse\n")
    for config in (folded, folded["objective"]):
        with pytest.raises(LosslangError, match="use '|'"):
            losslang.check(config)
    for line in ("l1  # the pixels", "l1\n+ mse  # was + 0.5*mse", "# all\nl1 + mse"):
        assert losslang.check(line).terms


# ------------------------------------------------------------------------------------------ the mapping form
TWICE = "loss twice(L: loss, pred, target: real[b]) -> [b]: 2*L(pred, target)\n"

EQUAL: list[tuple[dict[str, Any], str]] = [
    ({"terms": {"l1": "l1"}}, "l1"),
    ({"terms": {"cls": {"loss": "focal", "gamma": 2, "weight": 0.5}}}, "0.5*focal(gamma=2) as cls"),
    ({"terms": {"cls": {"loss": "focal(gamma=2)", "detach": True}}}, "focal(gamma=2, detach=true) as cls"),
    ({"terms": {"s": {"loss": "1 - ssim(a, b)", "weight": "2*0.25"}}}, "2*0.25*(1 - ssim(a, b)) as s"),
    ({"terms": {"s": {"loss": "ssim", "weight": -1}}}, "-ssim as s"),
    ({"terms": {"a": {"loss": "l1", "weight": "auto"}, "b": "mse"}}, "auto*l1 as a + mse as b"),
    ({"terms": {"a": "l1", "b": "mse"}, "passes": ["uncertainty"]}, "l1 as a + mse as b | uncertainty"),
    ({"terms": {"a": "l1", "b": "mse"}, "passes": "uncertainty"}, "l1 as a + mse as b | uncertainty"),
    (
        {"terms": {"a": "l1", "b": "mse", "c": "focal"}, "passes": [{"pass": "uncertainty", "terms": ["a", "b"]}]},
        "(l1 as a + mse as b | uncertainty) + focal as c",
    ),
    (
        {"definitions": TWICE, "terms": {"t": {"loss": "twice", "L": {"loss": "huber", "delta": 2}}}},
        f"{TWICE}\nobjective o: twice(L=huber(delta=2)) as t\n",
    ),
    ({"terms": {"t": {"loss": "ce", "ignore": -100, "reduce": "sum"}}}, "ce(ignore=-100, reduce=sum) as t"),
    ({"terms": {"t": {"loss": "infonce", "tau": "1e-1"}}}, "infonce(tau=1e-1) as t"),
    (
        {
            "name": "restore",
            "inputs": {
                "pred": "image[b, c=3, h, w] in 0..1",
                "target": "image[b, c=3, h, w] in 0..1",
                "k": "real >= 0 = 0.5",
            },
            "bindings": {"seen": "target > 0", "d[b, c, h, w]": "pred - target"},
            "terms": {"a": {"loss": "l1", "mask": "seen"}, "b": {"loss": "mse(d, 0*d)", "weight": "k"}},
        },
        "objective restore(pred, target: image[b, c=3, h, w] in 0..1, k: real >= 0 = 0.5):\n"
        "    seen = target > 0\n    d[b, c, h, w] = pred - target\n    l1(mask=seen) as a + k*mse(d, 0*d) as b\n",
    ),
    (
        {
            "definitions": "loss own(x: real[b]) -> [b]: 2*x\n\nmore = 3*own\n",
            "axes": {"c": 10},
            "inputs": {"y": "label[b] < c"},
            "terms": {"a": "more", "b": "ce(logits, y)"},
        },
        "loss own(x: real[b]) -> [b]: 2*x\n\nmore = 3*own\n\n"
        "objective o[c=10](y: label[b] < c): more as a + ce(logits, y) as b\n",
    ),
]


@pytest.mark.parametrize(("config", "text"), EQUAL)
def test_the_mapping_means_what_the_text_means(config: dict[str, Any], text: str, tmp_path: Path) -> None:
    wanted = digest(text)
    assert digest(config) == wanted
    assert digest({"objective": config, "lr": 0.1}) == wanted
    assert digest(losslang.from_config(config)) == wanted
    assert digest(losslang.to_config(config)) == wanted
    assert digest(losslang.to_config(text)) == wanted
    for suffix, dump in (("yaml", partial(yaml.safe_dump, sort_keys=False)), ("json", json.dumps)):
        path = tmp_path / f"train.{suffix}"
        path.write_text(dump({"objective": config, "lr": 1}), encoding="utf-8")
        assert digest(path) == wanted
        path.write_text(dump(config), encoding="utf-8")
        assert digest(path) == wanted


TEXTS = [
    *LINES,
    "2*(l1 + mse) + triplet(mine=semihard)",
    "1 - ssim(a, b) + (l1 + mse | uncertainty) + 0.1*2*auto*tv(x)/3",
    "l1 + l1(a, b) + l1(c, d)",
    "auto*l1 + 0.5*auto*mse",
    "objective o(x: real[b], w: real = 0.5):\n    part = l1(x, y)\n    other = 2*part/(1 + part)\n    part + w*other\n",
    "objective o(x: real[b]):\n    near = abs(x) < 1\n    l1(x, y, mask=near) | uncertainty\n",
]  # fmt: skip


@pytest.mark.parametrize("text", [*TEXTS, *(text for _, text in EQUAL)])
def test_round_trips(text: str) -> None:
    config = losslang.to_config(text)
    assert digest(config) == digest(text)
    again = losslang.from_config(config)
    assert digest(again) == digest(text)
    assert losslang.to_config(config) == config == losslang.to_config(again)
    assert yaml.safe_load(yaml.safe_dump(config)) == config == json.loads(json.dumps(config))
    assert losslang.format(again).rstrip("\n") == again


def test_the_form_of_a_text() -> None:
    text = "0.5*focal(gamma=2) as cls + l1(pred, target) - 0.1*ssim | uncertainty"
    assert losslang.to_config(text) == {
        "terms": {
            "cls": {"loss": "focal", "gamma": 2, "weight": 0.5},
            "l1": {"loss": "l1(pred, target)"},
            "ssim": {"loss": "ssim", "weight": -0.1},
        },
        "passes": ["uncertainty"],
    }
    assert (
        losslang.from_config({"terms": {"cls": {"loss": "focal", "gamma": 2, "weight": 0.5}}})
        == "0.5 * focal(gamma=2) as cls"
    )


def test_overrides_are_written() -> None:
    found = losslang.to_config("focal as cls + k*l1", overrides={"terms.cls.gamma": 3}, constants={"k": 0.5})
    assert found == {
        "constants": {"k": 0.5},
        "terms": {"cls": {"loss": "focal", "gamma": 3}, "l1": {"loss": "l1", "weight": "k"}},
    }
    assert digest(found) == digest("focal(gamma=3) as cls + 0.5*l1")


@pytest.mark.parametrize("form", [lambda text: text, losslang.to_config], ids=["text", "mapping"])
def test_overrides_work_on_both_forms(form: Any) -> None:
    text = "0.5*focal(gamma=2) as cls + l1(pred, target) | uncertainty"
    given = {"terms.cls.gamma": 3, "terms.cls.weight": 0.25, "terms.l1.pred": "x"}
    assert digest(form(text), overrides=given) == digest("0.25*focal(gamma=3) as cls + l1(x, target) | uncertainty")
    with pytest.raises(LosslangError, match="did you mean 'cls'"):
        losslang.check(form(text), overrides={"terms.cl.gamma": 3})


def test_constants_and_bind_of_a_config() -> None:
    config = {"objective": "l1 + beta*mse", "constants": {"beta": 0.5}, "bind": {"pred": "recon"}}
    objective = losslang.compile(config, backend="eager")
    batch = {"recon": torch.zeros(2), "target": torch.full((2,), 2.0)}
    assert objective(batch).total.item() == 4
    assert losslang.compile(config, backend="eager", beta=1)(batch).total.item() == 6
    other = losslang.compile(config, backend="eager", bind={"pred": "other"})
    assert other({"other": batch["recon"], "target": batch["target"]}).total.item() == 4


def test_modules_of_a_config(tmp_path: Path) -> None:
    (tmp_path / "mine.loss").write_text(
        "loss special(x: real[b]) -> [b]: 2*x\n\npair = special + l1\n", encoding="utf-8"
    )
    path = tmp_path / "train.yaml"
    wanted = digest("loss special(x: real[b]) -> [b]: 2*x\n\nobjective o(): special + l1\n")
    for text in (
        "use: mine\nobjective: special + l1\n",
        "use: [mine]\nobjective: {terms: {special: special, l1: l1}}\n",
        "objective: {use: mine as m, terms: {special: m.special, l1: {loss: l1}}}\n",
        "use: ./mine.loss as m\nobjective: m.special + l1\n",
        "use: ./mine.loss as m\nobjective: m.pair\n",
        "objective: |\n  use mine\n  objective main: special + l1\n",
    ):
        path.write_text(text, encoding="utf-8")
        assert digest(path) == wanted
        written = losslang.to_config(path)
        path.write_text(yaml.safe_dump(written, sort_keys=False), encoding="utf-8")
        assert digest(path) == wanted
    with pytest.raises(LosslangError, match="LL0209"):
        losslang.check(read(path))
    assert digest(read(path), path=tmp_path) == wanted


def test_what_a_module_keeps_to_itself_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "mine.loss").write_text("use inner\n\npair = own + hidden\n\nloss own(x: real[b]) -> [b]: x\n")
    (tmp_path / "inner.loss").write_text("loss hidden(x: real[b]) -> [b]: x\n")
    with pytest.raises(LosslangError, match="LL0309.*config"):
        losslang.to_config("use mine\n\nobjective o: pair\n", path=tmp_path)


class Lazy(Mapping[str, Any]):
    """A mapping that computes its values, as OmegaConf does for ``${beta}``."""

    def __init__(self, held: dict[str, Any], root: Lazy | None = None) -> None:
        self.held, self.root = held, root or self

    def __getitem__(self, key: str) -> Any:
        value = self.held[key]
        if isinstance(value, dict):
            return Lazy(value, self.root)
        if isinstance(value, str) and "${" in value:
            before, _, rest = value.partition("${")
            name, _, after = rest.partition("}")
            return f"{before}{self.root[name]}{after}" if before or after else self.root[name]
        return Rows(value) if isinstance(value, list) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


class Rows(Sequence[Any]):
    def __init__(self, held: list[Any]) -> None:
        self.held = held

    def __getitem__(self, place: Any) -> Any:
        return self.held[place]

    def __len__(self) -> int:
        return len(self.held)


def test_interpolated_configs() -> None:
    held = {
        "beta": 0.3,
        "net": "squeeze",
        "objective": "lpips(${net}) + l1",
        "terms": {"a": {"loss": "l1", "weight": "${beta}"}},
        "passes": ["uncertainty"],
    }
    config = Lazy(held)
    assert digest(config["objective"]) == digest("lpips(squeeze) + l1")
    assert digest(
        {
            "objective": Lazy({**held, "objective": 1})["terms"]
            and {"terms": config["terms"], "passes": config["passes"]}
        }
    ) == digest("0.3*l1 as a | uncertainty")
    with pytest.raises(LosslangError, match="KeyError"):
        losslang.check(Lazy({"objective": "${missing}"}))


# ------------------------------------------------------------------------------------------ what is wrong
@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.name)
def test_errors(path: Path, update_golden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _, wanted = path.read_text("utf-8").partition("\n=====\n")
    monkeypatch.chdir(path.parent)
    found = problems(Source(path.name, text), Path(path.name))
    assert path.name[:6] in {diagnostic.code for diagnostic in found}
    for diagnostic in found:
        assert diagnostic.code in CODES and (diagnostic.hint or diagnostic.expected)
        assert diagnostic.span is not None and diagnostic.span.place.source.name == path.name
    if update_golden:
        path.write_text(f"{text}\n=====\n{render(found)}\n", "utf-8")
    else:
        assert render(found) == wanted.rstrip("\n")


def problems(source: Source, path: Path) -> tuple[Diagnostic, ...]:
    try:
        losslang.check(reading.from_file(source, path))
    except LosslangError as problem:
        return problem.diagnostics
    return ()


def test_every_code_of_configs_has_a_fixture() -> None:
    assert {path.name[:6] for path in ERRORS} >= {f"LL07{number:02}" for number in range(6, 11)}


@pytest.mark.parametrize(
    ("config", "code", "found"),
    [
        ({"objective": object()}, "LL0709", "object"),
        ({"objective": torch.zeros(2)}, "LL0709", "Tensor"),
        ({"objective": {1, 2}}, "LL0709", "set"),
        ({"objective": b"l1"}, "LL0709", "bytes"),
        ({1: "l1"}, "LL0709", "1"),
        ({"terms": {"a": {"loss": "l1", "weight": float("nan")}}}, "LL0709", "nan"),
        ({"terms": {"a": {"loss": "l1", "weight": float("inf")}}}, "LL0402", "inf"),
        ({"terms": {"a": {"loss": "l1", "weight": "0.5"}}}, "LL0709", "0.5"),
        ({}, "LL0710", "nothing"),
    ],
)
def test_wrong_mappings_of_python(config: Any, code: str, found: str) -> None:
    with pytest.raises(LosslangError) as caught:
        losslang.check(config)
    (problem,) = caught.value.diagnostics
    assert problem.code == code and found in (problem.found or "")


def test_a_mapping_of_python_is_shown_as_json() -> None:
    with pytest.raises(LosslangError) as caught:
        losslang.check({"terms": {"cls": {"loss": "focal", "gamma": -1}}})
    assert '<config>:5:16\n5 |       "gamma": -1\n  |                ^^' in str(caught.value)


def test_what_is_endless_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["terms"] = circle
    with pytest.raises(LosslangError, match="LL0709"):
        losslang.check(circle)
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9)
    )
    unit = reading.from_file(Source("x.yaml", bomb + "objective: l1\n"), Path("x.yaml"))
    assert losslang.check(unit).terms
    with pytest.raises(LosslangError):
        losslang.check(reading.from_file(Source("x.yaml", bomb + "terms: {a: {loss: l1, w: *j}}\n"), Path("x.yaml")))


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.floats(),
        st.sampled_from(
            ["l1", "focal(gamma=2)", "1 - ssim", "uncertainty", "real[b]", "auto", "", "x y", "2", "a", "cls"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "objective",
                    "terms",
                    "passes",
                    "pass",
                    "loss",
                    "weight",
                    "gamma",
                    "use",
                    "bind",
                    "inputs",
                    "bindings",
                    "a",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_mapping_is_an_objective_or_a_diagnostic(value: Any) -> None:
    for config in (value if isinstance(value, dict) else {"objective": value}, {"terms": value}):
        try:
            losslang.check(config)
            losslang.from_config(losslang.to_config(config))
        except LosslangError as problem:
            assert str(problem)


PIECES = st.sampled_from(
    [
        "objective:",
        " l1",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "'",
        '"',
        "|",
        ">",
        "#",
        "&a",
        "*a",
        "<<",
        "!x ",
        "terms",
        "loss: focal",
        "=",
        "a",
        "1",
        ",",
        '"""',
        "\\",
        "\t",
        "\x00",
        "é",
        "?",
        "%",
        "@",
    ]  # fmt: skip
)


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(reading.SUFFIXES))
def test_any_text_of_a_config_is_an_objective_or_a_diagnostic(text: str, suffix: str) -> None:
    for diagnostic in problems(Source(f"x{suffix}", text), Path(f"x{suffix}")):
        assert render([diagnostic])
