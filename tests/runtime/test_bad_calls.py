"""What a wrong call gets: a diagnostic in the caller's own names, with what was expected, what was found and a hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

import losslang
from losslang import Diagnostic, LosslangError


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def refused(call: Callable[[], object]) -> Diagnostic:
    """The one diagnostic of a call; all of its parts are there."""
    with pytest.raises(LosslangError) as caught:
        call()
    (found,) = caught.value.diagnostics
    assert found.expected and found.found and found.hint, found
    return found


SCORES = {"logits": torch.randn(4, 5), "labels": torch.randint(0, 5, (4,))}
VALUES = {"pred": torch.rand(4, 3), "target": torch.rand(4, 3)}
PICTURES = {"pred": torch.rand(2, 3, 16, 16), "target": torch.rand(2, 3, 16, 16)}


def call(text: str, batch: dict[str, Any], **changed: Any) -> Callable[[], object]:
    return lambda: eager(text)({**batch, **changed})


WRONG: dict[str, tuple[str, Callable[[], object], str]] = {
    "nothing": ("LL0501", lambda: eager("ce")(), "missing: logits, labels"),
    "one missing": ("LL0501", lambda: eager("ce")(logits=SCORES["logits"]), "missing: labels"),
    "misspelt": ("LL0501", lambda: eager("l1")(pred=VALUES["pred"], tarqet=VALUES["target"]), "missing: target"),
    "extra keyword": ("LL0502", lambda: eager("l1")(**VALUES, weight=torch.ones(3)), "no term takes 'weight'"),
    "by place": ("LL0501", lambda: eager("l1")(VALUES["pred"], VALUES["target"]), "names its tensors"),
    "a tensor as batch": ("LL0501", lambda: eager("l1")(VALUES["pred"]), "names its tensors"),
    "a list as batch": ("LL0501", lambda: eager("l1")([VALUES["pred"]]), "names its tensors"),  # type: ignore[arg-type]
    "no tensor": ("LL0504", call("l1", VALUES, target=[1.0, 2.0]), "'target' is no tensor"),
    "none": ("LL0504", call("l1", VALUES, target=None), "'target' is no tensor"),
    "numpy": ("LL0504", call("l1", VALUES, target=VALUES["target"].numpy()), "'target' is no tensor"),
    "float labels": ("LL0504", call("ce", SCORES, labels=torch.zeros(4)), "'labels' is float32"),
    "bool labels": ("LL0504", call("ce", SCORES, labels=torch.zeros(4, dtype=torch.bool)), "'labels' is bool"),
    "whole logits": ("LL0504", call("ce", SCORES, logits=torch.zeros(4, 5, dtype=torch.int64)), "'logits' is int64"),
    "bytes": ("LL0504", call("tv", PICTURES, pred=torch.zeros(2, 3, 8, 8, dtype=torch.uint8)), "'pred' is uint8"),
    "complex": ("LL0504", call("l1", VALUES, pred=torch.zeros(4, 3, dtype=torch.complex64)), "'pred' is complex64"),
    "real mask": ("LL0504", call("l1(mask=m)", VALUES, m=torch.ones(4, 3)), "'m' is float32"),
    "batch sizes": (
        "LL0503",
        call("ce", SCORES, labels=torch.zeros(3, dtype=torch.int64)),
        "axis 'b' of 'logits' and 'labels'",
    ),
    "columns": (
        "LL0503",
        call("ce", SCORES, labels=torch.zeros(4, 1, dtype=torch.int64)),
        "'...' of 'logits' and 'labels'",
    ),
    "too few dimensions": (
        "LL0503",
        call("infonce(pred, target)", VALUES, pred=torch.zeros(3)),
        "'pred' has 1 dimensions",
    ),
    "too many dimensions": (
        "LL0503",
        call("infonce(pred, target)", VALUES, pred=torch.zeros(4, 3, 1)),
        "'pred' has 3 dimensions",
    ),
    "features": (
        "LL0503",
        call("infonce(pred, target)", VALUES, pred=torch.zeros(4, 2)),
        "axis 'd' of 'pred' and 'target'",
    ),
    "grey": (
        "LL0503",
        call("lpips(squeeze(weights=random))", PICTURES, pred=torch.zeros(2, 1, 16, 16)),
        "'c' of 'pred' has 1",
    ),
    "high label": ("LL0505", call("ce", SCORES, labels=torch.tensor([0, 1, 2, 5])), "'labels' holds the label 5"),
    "negative label": (
        "LL0505",
        call("ce", SCORES, labels=torch.tensor([0, 1, -100, 4])),
        "'labels' holds the label -100",
    ),
    "other ignored label": (
        "LL0505",
        call("ce(ignore=-1)", SCORES, labels=torch.tensor([0, -1, 255, 4])),
        "the label 255",
    ),
    "prob above 1": ("LL0508", call("cross_entropy", SCORES, target=torch.full((4, 5), 3.0)), "'target' reaches"),
    "logits as prob": (
        "LL0508",
        call("dice", {"prob": torch.randn(2, 3, 4) * 4, "target": torch.zeros(2, 3, 4)}),
        "'prob' reaches",
    ),
    "picture in bytes": ("LL0508", call("1 - ssim", PICTURES, pred=torch.rand(2, 3, 16, 16) * 255), "'pred' reaches"),
    "not normalised": (
        "LL0508",
        call("clip", {"z1": torch.ones(4, 3), "z2": torch.ones(4, 3)}),
        "rows of 'z1' are not",
    ),
    "devices": ("LL0507", call("l1", VALUES, pred=torch.zeros(4, 3, device="meta")), "different devices"),
    "bound name": ("LL0501", lambda: eager("l1", bind={"pred": "recon"})(**VALUES), "missing: recon"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_refused(name: str) -> None:
    code, wrong, message = WRONG[name]
    found = refused(wrong)
    assert found.code == code and message in found.message


def test_messages_use_the_callers_names() -> None:
    objective = eager("ce", bind={"logits": "scores", "labels": "y"})
    found = refused(lambda: objective(scores=torch.randn(4, 5), y=torch.tensor([0, 1, 2, 9])))
    assert found.message == "'y' holds the label 9" and found.expected == "0 to 4: axis 'c' has 5 elements"
    found = refused(lambda: objective(scores=torch.randn(4, 5), y=torch.zeros(3, dtype=torch.int64)))
    assert found.message == "axis 'b' of 'scores' and 'y' differ: 4 and 3"
    assert found.found == "scores (4, 5), y (3,)"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: eager("l1")(pred=VALUES["pred"], tarqet=VALUES["target"]), "did you mean 'tarqet'?"),
        (lambda: eager("l1")(pred=VALUES["pred"], gt=VALUES["target"]), "bind={'target': 'gt'}"),
        (lambda: eager("l1")(**VALUES, targets=VALUES["pred"]), "did you mean 'target'?"),
        (call("ce", SCORES, labels=torch.zeros(4)), "labels.long()"),
        (call("ce", SCORES, labels=torch.zeros(4, 1, dtype=torch.int64)), "labels.squeeze(-1)"),
        (call("ce", SCORES, labels=torch.tensor([0, 1, -100, 4])), "ignore=-100"),
        (call("ce", SCORES, labels=torch.tensor([1, 2, 5, 4])), "start at 1"),
        (call("clip", {"z1": torch.ones(4, 3), "z2": torch.ones(4, 3)}), "normalize(z1, dim=-1)"),
        (call("tv", PICTURES, pred=torch.zeros(2, 3, 8, 8, dtype=torch.uint8)), "pred.float()/255"),
        (call("dice", {"prob": torch.randn(2, 3, 4) * 4, "target": torch.zeros(2, 3, 4)}), "softmax"),
        (
            call("lpips(squeeze(weights=random))", PICTURES, pred=torch.zeros(2, 1, 16, 16)),
            "pred.expand(-1, 3, -1, -1)",
        ),
        (lambda: eager("l1", bind={"pred": "recon"})(**VALUES), "pass recon=..."),
    ],
)
def test_the_hint_is_what_to_write(wrong: Callable[[], object], hint: str) -> None:
    assert hint in (refused(wrong).hint or "")


# ------------------------------------------------------------------------------------------ when it is checked
def test_values_are_checked_at_the_first_call_only() -> None:
    """Later checks would wait for the device; shapes and dtypes are known without."""
    objective = eager("ce")
    bad = {**SCORES, "labels": torch.tensor([0, 1, 2, 9])}
    assert refused(lambda: objective(bad)).code == "LL0505"
    objective(SCORES)
    objective(bad)
    assert refused(lambda: objective({**SCORES, "labels": torch.zeros(3, dtype=torch.int64)})).code == "LL0503"
    assert refused(lambda: objective({**SCORES, "labels": torch.zeros(4)})).code == "LL0504"


def test_a_refused_call_changes_nothing() -> None:
    objective = eager("infonce(tau=auto)")
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    refused(lambda: objective(z1=torch.zeros(4, 3), z2=torch.zeros(4, 2)))
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert objective(z1=torch.randn(4, 3), z2=torch.randn(4, 3)).total.isfinite()


def test_validate_false_checks_no_values() -> None:
    objective = eager("ce", validate=False)
    objective({**SCORES, "labels": torch.tensor([0, 1, 2, 9])})
    assert refused(lambda: eager("ce", validate=False)(logits=SCORES["logits"])).code == "LL0501"
    assert refused(lambda: eager("ce", validate=False)({**SCORES, "labels": torch.zeros(4)})).code == "LL0504"


def test_ignored_labels_are_in_range() -> None:
    labels = torch.tensor([0, 1, -100, 4])
    assert eager("ce(ignore=-100)")({**SCORES, "labels": labels}).total.isfinite()


# ------------------------------------------------------------------------------------------ finiteness
def test_what_is_not_finite_is_named() -> None:
    objective = eager("l1 + ce", check_finite=True)
    batch = {**SCORES, **VALUES}
    objective(batch)
    batch["pred"] = VALUES["pred"].clone()
    batch["pred"][1, 2] = torch.nan
    found = refused(lambda: objective(batch))
    assert (found.code, found.message, found.found) == ("LL0506", "the input 'pred' is not finite", "1 of 12 elements")
    eager("l1 + ce")(batch)


def test_a_term_that_is_not_finite_is_named() -> None:
    objective = eager("ce + mse as far", check_finite=True)
    found = refused(lambda: objective({**SCORES, "pred": torch.full((4, 3), 1e30), "target": -VALUES["target"]}))
    assert found.code == "LL0506" and "the term 'far' is not finite" in found.message


def test_rows_are_checked_too() -> None:
    objective = eager("mse(reduce=none)", check_finite=True)
    assert objective(VALUES).total.shape == (4, 3)
    assert refused(lambda: objective({**VALUES, "pred": torch.full((4, 3), torch.inf)})).code == "LL0506"


# ------------------------------------------------------------------------------------------ networks
def test_a_network_without_weights(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("LOSSLANG_OFFLINE", "1")
    with pytest.raises(LosslangError) as caught:
        eager(f'lpips(squeeze(weights="{tmp_path}/none.pth"))', allow=["LL0807"])(PICTURES)
    (found,) = caught.value.diagnostics
    assert found.code == "LL0602" and found.hint
    assert re.search(r"none\.pth", found.message)


def test_a_network_with_other_weights(tmp_path: Any) -> None:
    torch.save({"classifier.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(LosslangError) as caught:
        eager(f'lpips(squeeze(weights="{tmp_path}/other.pth"))', allow=["LL0807"])(PICTURES)
    assert caught.value.diagnostics[0].code == "LL0604"
