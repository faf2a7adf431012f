"""The hash of what an objective means, and what differs between two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import losslang
from losslang import term
from losslang.compiler import content_hash, diff
from losslang.diagnostics import LosslangError

HEADER = "logits: logit[b, c], labels: label[b] < c"
OWN = "loss own(pred, target: real[b, ...], k: real = 1) -> [b, ...]: {}\n\nobjective o: own\n"


# ------------------------------------------------------------------------------------------ hash
@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("l1 + 0.5*focal", "0.5 * focal\n  + l1  # ours"),
        ("focal(gamma=2)", "focal"),
        ("l1 + mse | uncertainty", "mse + l1 | uncertainty"),
        ("auto*l1 + auto*ce", "auto*ce + auto*l1"),
        ("l1 + infonce(tau=auto) + mse(reduce=sum)", "mse(reduce=sum) + infonce(tau=auto) + l1"),
        ("objective o(x: real[b, d]): l1(x, y)\n", "objective other(x: real[n, e]):\n    l1(x, y)\n"),
        ("objective o(x, y: real[b, d]): l1(x, y)\n", "objective o(y, x: real[b, d]): l1(x, y)\n"),
        ("objective o:\n    part = l1\n    part + mse\n", "objective o:\n    mse + l1 as part\n"),
        (
            "objective o:\n    d = pred - target\n    l1(d, 0*d)\n",
            "objective o:\n    e = pred - target\n    l1(e, 0*e)\n",
        ),
        ("2*(l1 + mse)", "2*l1 + 2*mse"),
        ("0.5*l1*4", "2*l1"),
        ("ce", "focal(gamma=0) as ce"),
        (OWN.format("k*abs(pred - target)"), OWN.format("abs(pred - target)*k").replace("own(pred", "own(pred")),
        ({"terms": {"l1": "l1", "cls": {"loss": "focal", "weight": 0.5}}}, "0.5*focal as cls + l1"),
        (term("focal") * 0.5 + term("l1"), "l1 + 0.5*focal"),
    ],
)
def test_equal_hashes(text: Any, other: Any) -> None:
    assert content_hash(text) == content_hash(other)
    assert diff(text, other).by == "formula" and diff(text, other).changes == ()


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("l1", "2*l1"),
        ("l1", "mse as l1"),
        ("l1", "l1 as x"),
        ("l1", "l1(a, target)"),
        ("focal", "focal(gamma=3)"),
        ("focal", "focal(gamma=auto)"),
        ("infonce(tau=auto(0.1))", "infonce(tau=auto(0.2))"),
        ("l1 + mse", "l1 + mse | uncertainty"),
        ("objective o(x: real[b, d]): l1(x, y)\n", "objective o(x: real[b, ...]): l1(x, y)\n"),
        ("objective o(x: real[b, d]): l1(x, y)\n", "objective o(x: real[b, d=3]): l1(x, y)\n"),
        ("objective o(x: real[b, d]): l1(x, y)\n", "objective o(x: logit[b, d]): l1(x, y)\n"),
        ("lpips(squeeze)", "lpips(vgg16)"),
    ],
)
def test_different_hashes(text: str, other: str) -> None:
    assert content_hash(text) != content_hash(other)


def test_the_hash_is_the_same_in_every_process() -> None:
    text = "0.5*focal(gamma=2) + l1(pred, target) + infonce(tau=auto) | uncertainty"
    code = f"from losslang.compiler import content_hash; print(content_hash({text!r}))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {content_hash(text)}


ROOT = Path(losslang.__file__).parent.parent


# ------------------------------------------------------------------------------------------ differences
@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("l1 + mse", "l1 + 0.5*mse", ["term mse: weight 1 -> 0.5"]),
        ("l1 + mse", "l1 - mse", ["term mse: weight 1 -> -1"]),
        ("l1 + mse", "l1 + auto*mse", ["term mse: weight 1 -> auto"]),
        ("focal(gamma=2) as cls", "focal(gamma=3) as cls", ["term cls: gamma 2 -> 3"]),
        ("focal as cls", "focal(3) as cls", ["term cls: gamma 2 -> 3"]),
        ("l1", "l1(reduce=sum)", ["term l1: reduce added, sum"]),
        ("infonce(tau=auto)", "infonce(tau=0.1)", ["term infonce: tau auto -> 0.1"]),
        ("l1 as a", "mse as a", ["term a: loss l1 -> mse"]),
        ("1 - ssim", "1 - ssim(win=7)", ["term ssim: loss 1 - ssim -> 1 - ssim(win=7)"]),
        ("l1", "l1 + 0.1*mse", ["term mse: added, 0.1*mse"]),
        ("l1 + mse", "mse", ["term l1: removed, l1"]),
        (
            "l1",
            "l1(x, target)",
            ["term l1: pred pred -> x", "input pred: removed, real[b, ...]", "input x: added, real[b, ...]"],
        ),
        (
            "objective o(x: real[b, d]): l1(x, y)\n",
            "objective o(x: real[b, d=3]): l1(x, y)\n",
            ["input x: real[b, d] -> real[b, d=3]", "input y: real[b, d] -> real[b, d=3]"],
        ),
        ("l1 + mse", "l1 + mse | uncertainty", ["pass uncertainty: added, over l1, mse"]),
        ("l1 + mse | uncertainty", "(l1 | uncertainty) + mse", ["pass uncertainty: over l1, mse -> l1"]),
        (
            OWN.format("k*abs(pred - target)"),
            OWN.format("2*k*abs(pred - target)"),
            ["term own: the definition of own differs"],
        ),
        (
            OWN.format("f(pred) - target") + "\nfn f(x): 2*x\n",
            OWN.format("f(pred) - target") + "\nfn f(x): 3*x\n",
            ["term own: the definition of f differs"],
        ),
        (
            "objective o(k: real = 0.5): l1(k*pred, target)\n",
            "objective o(k: real = 0.7): l1(k*pred, target)\n",
            ["value k: 0.5 -> 0.7"],
        ),
        (
            "objective o:\n    x = 2*pred\n    l1(x, target)\n",
            "objective o:\n    x = 3*pred\n    l1(x, target)\n",
            ["value x: 2*pred -> 3*pred"],
        ),
        (
            {"objective": "l1(k*a, b)", "constants": {"k": 1}},
            {"objective": "l1(k*a, b)", "constants": {"k": 2}},
            ["value k: 1 -> 2"],
        ),
    ],
)
def test_what_differs(before: Any, after: Any, lines: list[str]) -> None:
    found = diff(before, after)
    assert not found.same and found.by is None
    assert [str(change).replace(" * ", "*") for change in found.changes] == lines
    assert str(found).split("\n")[0] == "different"


def test_options_of_a_pass_differ() -> None:
    text = (
        "balancer by(loss, w: real[k], slope: real = 1): slope*sum[k](w*loss)\n\nobjective o: l1 + mse | by(slope={})\n"
    )
    assert [str(change) for change in diff(text.format(2), text.format(3)).changes] == ["pass by: slope 2 -> 3"]


def test_other_names_are_the_same_function() -> None:
    found = diff("l1 + 0.5*mse", "0.5*mse as rec + l1")
    assert (found.same, found.by) == (True, "formula")
    assert [str(change) for change in found.changes] == ["term mse: now called rec"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("huber(delta=1e9) as own", OWN.format("(pred - target)^2/2")),
        ("mse as own", OWN.format("pred^2 - 2*pred*target + target^2")),
        ("2*l1", "l1 + l1 as y"),
        (
            f"objective o({HEADER}): ce as own\n",
            f"loss own({HEADER}) -> [b]: log(sum[c](exp(logits))) - logits[labels]\n\nobjective o({HEADER}): own\n",
        ),
        (f"objective o({HEADER}): ce as own\n", f"objective o({HEADER}): ce as own + 0*poly1\n"),
    ],
)
def test_the_same_in_numbers(text: str, other: str) -> None:
    found = diff(text, other)
    assert found.same and (found.by == "formula") is ("0*" in other)
    assert "0*" in other or "random batches" in str(found)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("mse as own", OWN.format("stop(pred - target)*(pred - target)")),  # half the gradient
        ("infonce(tau=auto(0.1)) as a", "infonce(tau=0.1) as a"),  # the same number, until it learns
    ],
)
def test_one_value_is_not_one_function(text: str, other: str) -> None:
    assert not diff(text, other).same


def test_wrong_texts_are_reported() -> None:
    for pair in (("focl", "l1"), ("l1", "focl")):
        with pytest.raises(LosslangError, match="did you mean 'focal'"):
            diff(*pair)


def test_modules_are_looked_into(tmp_path: Path) -> None:
    for folder, factor in (("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.loss").write_text(
            f"loss special(x: real[b]) -> [b]: scaled(x)\n\nfn scaled(x): {factor}*x\n"
        )
        (tmp_path / folder / "main.loss").write_text("use mine as m\n\nobjective o: m.special\n")
    found = diff(tmp_path / "a" / "main.loss", tmp_path / "b" / "main.loss")
    assert [str(change) for change in found.changes] == ["term special: the definition of scaled differs"]
    assert diff(tmp_path / "a" / "main.loss", tmp_path / "a" / "main.loss").same
