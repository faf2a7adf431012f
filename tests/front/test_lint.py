"""What objectives are warned of that run and are hardly meant; what is right is not warned of."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import losslang
from losslang import LosslangError, LosslangWarning, cli, compiler
from losslang.diagnostics import WARNINGS, Diagnostic, render
from losslang.sema.modules import library
from losslang.source import Source
from losslang.syntax import ast
from losslang.syntax.printer import print_expression

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIXTURES = sorted((HERE / "warnings").glob("LL08*.loss"))

Batch = dict[str, Tensor]


def warned(text: str | Source | Path, allow: tuple[str, ...] = ()) -> list[Diagnostic]:
    """The warnings of a text that has no errors."""
    found = compiler.diagnose(text, allow=allow)
    assert not [one for one in found if one.severity == "error"], render(found)
    return found


def codes(text: str, allow: tuple[str, ...] = ()) -> list[str]:
    return [one.code for one in warned(text, allow)]


def doubted(text: str | Source, batch: Batch, **options: Any) -> list[Diagnostic]:
    """The warnings of a first call."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective = losslang.compile(text, backend="eager", **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        objective(batch)
        first = len(caught)
        objective(batch)
        assert len(caught) == first, "a batch is doubted once"
    found = [one.message for one in caught]
    assert all(isinstance(one, LosslangWarning) for one in found)
    return [one.diagnostic for one in found if isinstance(one, LosslangWarning)]


# ------------------------------------------------------------------------------------------ the corpus
LABELS = torch.tensor([0, 1, 2, 1])
PICTURES = {"pred": torch.rand(2, 3, 32, 32), "target": torch.rand(2, 3, 32, 32)}

BATCHES: dict[str, Callable[[], Batch]] = {
    "LL0805-called-with-probabilities": lambda: {"scores": torch.eye(3)[LABELS] * 0.7 + 0.1, "labels": LABELS},
    "LL0805-called-with-sigmoids": lambda: {"logits": torch.linspace(0.1, 0.9, 40), "target": torch.ones(40)},
    "LL0806-called-with-one-channel": lambda: {
        "logits": torch.randn(2, 1, 4, 4),
        "labels": torch.zeros(2, 4, 4, dtype=torch.int64),
    },
    "LL0807-called-with-another-range": lambda: {
        "restored": torch.linspace(0, 1, 6144).reshape(2, 3, 32, 32),
        "original": torch.linspace(-1, 1, 6144).reshape(2, 3, 32, 32),
    },
    "LL0807-called-with-a-wider-range": lambda: {
        "pred": torch.linspace(-1, 1, 6144).reshape(2, 3, 32, 32),
        "target": torch.linspace(-1, 1, 6144).reshape(2, 3, 32, 32),
    },
    "LL0810-called-with-several-ones": lambda: {
        "logits": torch.tensor([[1.0, 2, 3], [3, 2, -1]]),
        "target": torch.tensor([[1.0, 1, 0], [0, 1, 0]]),
    },
    "LL0813-called-without-labels": lambda: {"logits": torch.randn(3, 4), "labels": torch.full((3,), 255)},
    "LL0813-called-with-an-empty-mask": lambda: {
        "pred": torch.ones(3, 2),
        "target": torch.zeros(3, 2),
        "seen": torch.zeros(3, 2, dtype=torch.bool),
    },
}
"""What the fixtures are called with whose warnings need values."""


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_warnings(path: Path, update_golden: bool) -> None:
    text, _, wanted = path.read_text("utf-8").partition("\n---\n")
    source = Source(path.name, text)
    found = doubted(source, BATCHES[path.stem]()) if path.stem in BATCHES else warned(source)
    assert path.name[:6] in {one.code for one in found}
    for one in found:
        assert one.severity == "warning" and one.code in WARNINGS
        assert one.span is not None and one.span.source is source
        assert one.expected and one.found and one.hint
    if update_golden:
        path.write_text(f"{text}\n---\n{render(found)}\n", "utf-8")
    else:
        assert render(found) == wanted.rstrip("\n")


def test_every_warning_has_a_fixture() -> None:
    assert {path.name[:6] for path in FIXTURES} == WARNINGS
    assert set(BATCHES) <= {path.stem for path in FIXTURES}


# ------------------------------------------------------------------------------------------ what is right
def calls() -> list[str]:
    """The library's losses as their examples use them, with the literal tensors as inputs."""
    found: list[str] = []
    for entry in library():
        if not isinstance(entry.item, ast.Definition) or entry.keyword not in ("loss", "fn"):
            continue
        for decorator in entry.item.decorators:
            call = decorator.arguments[0].value if decorator.name == "example" else None
            if isinstance(call, ast.Call):
                given = tuple(argument for argument in call.arguments if not _is_array(argument.value))
                sign = "" if entry.keyword == "loss" else "-"
                found.append(sign + print_expression(ast.Call(call.callee, given)))
    return found


def _is_array(value: ast.Expression) -> bool:
    return isinstance(value, ast.ListOf) or isinstance(value, ast.Call) and value.callee == ast.Name("full")


def test_the_library_as_its_examples_use_it_is_not_warned_of() -> None:
    clean = 0
    for text in calls():
        found = compiler.diagnose(text)
        clean += not found
        # a fn may be a condition, which trains nothing by itself; one of numbers alone is no term, which is an error
        odd = [one for one in found if one.severity == "warning" and not (text[0] == "-" and one.code == "LL0802")]
        assert not odd, render(odd)
    assert clean > 250


@pytest.mark.parametrize("path", sorted((ROOT / "stdlib").glob("*.loss")), ids=lambda path: path.stem)
def test_the_files_of_the_library_are_not_warned_of(path: Path) -> None:
    assert not compiler.diagnose(path)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.loss")), ids=lambda path: path.stem)
def test_examples_are_not_warned_of(path: Path) -> None:
    assert not compiler.diagnose(path)


@pytest.mark.parametrize(
    "text",
    [
        "ce + 0.1*ce(logits=logits2, labels=labels)",
        "0.5*dice(prob=softmax[c](logits), target=labels) + ce",
        "focal(gamma=2) + l1 | uncertainty",
        "(l1 | uncertainty) - 0.1*(1 - ssim)",
        "l1 - ssim",
        "kl(student, stop(softmax[c](teacher)))",
        "mse(stop(code), z) + 0.25*mse(code, stop(z))",
        "objective o(f: real[b, d] -> logit[b, c], x: real[b, d], y: prob[b, c]): kl(f(stop(x)), y)",
        "l1(pred*stop(w), target)",
        "infonce(tau=0.07)",
        "infonce(tau=auto)",
        "ramp(0, 1, begin=10, end=20)*l1 + mse",
        "ce(ignore=-100)",
        "hinge_d(real, stop(fake))",
        "ce(stop(a) + b, labels)",
        "objective o(pred, target: real[b], w: real = 0.5): w*l1(pred, target)",
        "objective o(D: real[b, d] -> real[b], x, y: real[b, d]): hinge_d(D(x), D(stop(y)))",
        "objective o(net: real[b, d] -> logit[b, c], x: real[b, d], y: label[b] < c): ce(net(stop(x)), y)",
        "loss f(x: real[b]) -> [b]:\n    m = 0.9*last(m, 0) + 0.1*x\n    x - m\n\nobjective o: f\n",
        "fn miner(ap, an, margin: real): ap < an\n\nobjective o: triplet(mine=miner)\n",
    ],
)
def test_what_is_meant_is_not_warned_of(text: str) -> None:
    assert not codes(text)


def test_a_model_that_a_loss_takes_by_its_name_is_used() -> None:
    assert not warned("objective main(model: real[b, ...] -> logit[b, c], x: real[b, ...]): vat")


def test_what_is_meant_may_look_like_anything_in_a_batch() -> None:
    uniform, picture = torch.rand(4, 8), torch.randn(2, 3, 16, 16)
    assert not doubted("ce", {"logits": torch.randn(8, 5), "labels": torch.zeros(8, dtype=torch.int64)})
    assert not doubted("ce", {"logits": torch.tensor([[0.2, 0.8]]), "labels": torch.tensor([0])}), "one row is chance"
    assert not doubted("1 - ssim", {"pred": picture, "target": picture.sigmoid()}), "a prediction may overshoot"
    several = {"prob": uniform, "target": uniform.round(), "logits": torch.randn(4, 8), "labels": torch.arange(4)}
    assert not doubted("dice(prob, target) + ce", several), "classes of a term that excludes none"
    targets = {"logits": torch.randn(6), "target": torch.zeros(6)}
    assert not doubted("bce", targets), "a batch of one class"
    masked = {"pred": torch.ones(3), "target": torch.ones(3), "m": torch.tensor([True, False, False])}
    assert not doubted("l1(mask=m)", masked)


# ------------------------------------------------------------------------------------------ how it is said
def test_compile_warns_once_and_at_the_callers_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        losslang.compile("0*l1 + mse", backend="eager")
    (one,) = caught
    assert isinstance(one.message, LosslangWarning) and one.filename == __file__
    assert one.message.diagnostic.code == "LL0801"
    assert "warning[LL0801]: the term 'l1' has weight 0" in str(one.message)


def test_a_call_warns_at_the_callers_line() -> None:
    objective = losslang.compile("ce", backend="eager")
    with pytest.warns(LosslangWarning, match="LL0805") as caught:
        objective(logits=torch.eye(4), labels=torch.arange(4))
    assert caught[0].filename == __file__


def test_errors_hide_warnings_of_the_same_objective_only() -> None:
    assert [one.code for one in compiler.diagnose("0*l1 + focall")] == ["LL0201"]
    text = "objective a: 0*l1 + mse\n\nobjective b: focall\n"
    assert [one.code for one in compiler.diagnose(text)] == ["LL0801", "LL0201"]


def test_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "-e", "0*l1 + mse"]) == 0
    assert "warning[LL0801]" in (out := capsys.readouterr().out) and out.endswith("1 warning\n")
    assert cli.main(["check", "--strict", "-e", "0*l1 + mse"]) == 1
    assert cli.main(["check", "--strict", "-e", "l1 + mse"]) == 0
    capsys.readouterr()
    assert cli.main(["check", "--format", "json", "-e", "0*l1 + mse"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["severity"], found["code"], found["line"], found["column"]) == ("warning", "LL0801", 1, 1)
    assert cli.main(["check", "--format", "github", "-e", "0*l1 + mse"]) == 0
    assert capsys.readouterr().out.startswith("::warning file=<expression>,line=1,col=1")
    assert cli.main(["check", "--strict", "--allow", "LL0801", "-e", "0*l1 + mse"]) == 0
    assert cli.main(["explain", "LL0808"]) == 0
    assert "batch" in capsys.readouterr().out


@pytest.mark.filterwarnings("default")
def test_commands_that_compile_show_warnings_as_errors_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "-e", "0*l1 + mse"]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("warning[LL0801]: the term 'l1' has weight 0") and "cli.py" not in shown.err
    assert shown.out.startswith("total ")


# ------------------------------------------------------------------------------------------ what is meant
def test_allow_names_codes_or_codes_of_terms() -> None:
    text = "0*l1 + 0*mse"
    assert codes(text) == ["LL0801", "LL0801"]
    assert not codes(text, ("LL0801",))
    assert [one.message for one in warned(text, ("l1.LL0801",))] == ["the term 'mse' has weight 0: it changes nothing"]
    inside = "objective o(p, t: prob[b, c, h, w]):\n    whole = dice(p, t, over=[b, ...])\n    whole + l1\n"
    assert codes(inside) == ["LL0808"]
    assert not codes(inside, ("whole.LL0808",)) and codes(inside, ("l1.LL0808",))


def test_a_comment_allows_what_is_on_its_line_or_the_next() -> None:
    head = "objective o(p, t: prob[b, c, h, w]):\n"
    assert not codes(f"{head}    dice(p, t, over=[b, ...])  # pooled: allow LL0808\n")
    assert not codes(f"{head}    # allow LL0812, LL0808\n    dice(p, t, over=[b, ...])\n")
    assert codes(f"{head}    # LL0808 is known\n    dice(p, t, over=[b, ...])\n")
    assert codes(f"# allow LL0808\n{head}    dice(p, t, over=[b, ...])\n")


def test_a_comment_of_a_config_allows_too(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("terms:\n  seg: dice(over=[b, ...])  # allow LL0808\n")
    assert not warned(path)
    path.write_text("terms:\n  seg: dice(over=[b, ...])\n")
    (found,) = warned(path)
    assert str(found.span).endswith("run.yaml:2:18")


def test_what_is_allowed_of_a_call() -> None:
    batch = {"logits": torch.eye(4), "labels": torch.arange(4)}
    assert [one.code for one in doubted("ce", batch)] == ["LL0805"]
    assert not doubted("ce", batch, allow=["LL0805"]) and not doubted("ce", batch, allow=["ce.LL0805"])
    assert doubted("ce + focal", batch, allow=["ce.LL0805"]), "another term is in doubt too"
    assert not doubted("ce  # allow LL0805\n", batch)
    assert not doubted("ce", batch, validate=False)


@pytest.mark.parametrize(
    ("entry", "hint"), [("ll0808", "LL0808"), ("LL0101", None), ("all", None), ("sce.LL0805", "ce.LL0805")]
)
def test_what_no_warning_is_cannot_be_allowed(entry: str, hint: str | None) -> None:
    with pytest.raises(LosslangError, match="LL0308") as caught:
        losslang.compile("ce", backend="eager", allow=[entry])
    (found,) = caught.value.diagnostics
    assert found.found == entry and (hint is None or f"'{hint}'" in (found.hint or ""))
