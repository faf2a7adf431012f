"""Errors of a call point into the text: the term, the tensor, the axis, and the line where they stand."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

import losslang
from losslang import Diagnostic, LosslangError

SMALL = {"a": torch.rand(2, 3, 8, 8), "b": torch.rand(2, 3, 8, 8)}
SCORES = {"logits": torch.randn(4, 5), "labels": torch.tensor([0, 1, 2, 4])}


def eager(text: str, **options: Any) -> losslang.Objective:
    return losslang.compile(text, backend="eager", **options)


def refused(call: Callable[[], object]) -> Diagnostic:
    with pytest.raises(LosslangError) as caught:
        call()
    (found,) = caught.value.diagnostics
    return found


FILE = """\
objective main(x: real[n, d], near: int[i], logits: logit[n, c], labels: label[n] < c):
    pulled = pull(x, near)
    0.5*pulled + ce(logits, labels)

loss pull(x: real[n, d], near: int[i]) -> [i]: sum[d](x[near])
"""


@pytest.mark.parametrize(
    ("text", "batch", "code", "line", "culprit", "said"),
    [
        ("0.5*ce + dice(prob=softmax[c](logits), target=labels)", {**SCORES, "labels": torch.tensor([0, 1, 9, 4])},
         "LL0505", 1, "ce", "'labels' is used by the terms ce, dice"),
        ("l1(p, q) +\n 2*ce", {**SCORES, "labels": torch.tensor([0, 1, 4]), "p": torch.rand(3), "q": torch.rand(3)},
         "LL0503", 2, "ce", "'logits' and 'labels' are used by the term ce"),
        ("l1(p, q) + mse(q, r)", {"p": torch.rand(3), "q": torch.rand(3), "r": torch.rand(4)},
         "LL0503", 1, "p", "'r' is used by the term mse"),
        ("l1", {"pred": torch.rand(3)}, "LL0501", 1, "l1", "'target' is used by the term l1"),
        ("mse + ce", {**SCORES, "labels": torch.zeros(4), "pred": torch.rand(3), "target": torch.rand(3)},
         "LL0504", 1, "ce", "'labels' is used by the term ce"),
        ("1 - ssim(a, b)", {**SMALL, "a": 255 * SMALL["a"]}, "LL0508", 1, "a", "'a' is used by the term ssim"),
        (FILE, {"x": torch.rand(4, 2), "near": torch.tensor([0, 4]), **SCORES},
         "LL0505", 1, "near: int[i]", "'near' is used by the term pulled"),
        (FILE, {"x": torch.rand(4, 2, 1), "near": torch.tensor([0, 3]), **SCORES},
         "LL0503", 1, "x: real[n, d]", "'x' is used by the term pulled"),
        (" + ".join(f"l1(p, q{k})" for k in range(9)), {f"q{k}": torch.rand(3) for k in range(9)},
         "LL0501", 1, "p", "'p' is used by the terms l1, l1_2, l1_3, l1_4, l1_5 and 4 more"),
    ],
)  # fmt: skip
def test_the_place_and_the_terms(
    text: str, batch: dict[str, Any], code: str, line: int, culprit: str, said: str
) -> None:
    found = refused(lambda: eager(text)(batch))
    assert (found.code, found.span and found.span.text) == (code, culprit)
    assert found.span is not None and found.span.source.position(found.span.start)[0] == line
    assert said in found.notes


def test_both_inputs_that_disagree_are_shown() -> None:
    found = refused(lambda: eager("l1(p, q)")(p=torch.rand(3), q=torch.rand(4)))
    assert found.span is not None and found.span.text == "p"
    assert [(label.span.text, label.text) for label in found.labels] == [("q", "'q' is used here")]


def test_the_callers_names_are_used() -> None:
    objective = eager("ce", bind={"labels": "y"})
    found = refused(lambda: objective(logits=torch.randn(4, 5), y=torch.tensor([0, 1, 2, 9])))
    assert found.notes == ("'y' is used by the term ce",)


# ------------------------------------------------------------------------------------------ the graph
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_a_failing_operation_is_told_by_its_term(backend: Any) -> None:
    objective = losslang.compile("mse(a, b) + 0.5*(1 - ssim(a, b)) as structure", backend=backend)
    with pytest.raises(LosslangError) as caught:
        objective(SMALL)
    (found,) = caught.value.diagnostics
    assert found.code == "LL0512" and "in the term 'structure'" in found.message
    assert found.span is not None and found.span.text == "0.5*(1 - ssim(a, b)) as structure"
    assert found.notes == ("the term got a (2, 3, 8, 8), b (2, 3, 8, 8)",)
    assert "kernel size" in found.message.lower()
    assert isinstance(caught.value.__cause__, Exception) and not isinstance(caught.value.__cause__, LosslangError)


def test_what_inductor_runs_as_it_is_tells_its_term_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    """A graph that calls a model is not compiled."""
    header = "net: real[b, ...] -> real[b], a, b: image[b, c=3, h, w] in 0..1"
    text = f"objective o({header}):\n    mse(net(a), 0) + (1 - ssim(a, b))\n"
    objective = losslang.compile(text, backend="inductor")
    with pytest.raises(LosslangError) as caught:
        objective({**SMALL, "net": lambda x: x.flatten(1).sum(1)})
    (found,) = caught.value.diagnostics
    assert found.code == "LL0512" and "in the term 'ssim'" in found.message
    assert capfd.readouterr().err == ""


class Full(TorchFunctionMode):
    """No memory is left."""

    def __torch_function__(self, func: object, *_: object, **__: object) -> object:
        raise torch.OutOfMemoryError("out of memory")


def test_what_fails_for_want_of_memory_stays_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training loops catch it to try a smaller batch."""
    objective = eager("l1")
    batch = {"pred": torch.rand(3), "target": torch.rand(3)}
    objective(batch)
    monkeypatch.setattr(objective, "_check", lambda _: None)
    with pytest.raises(torch.OutOfMemoryError), Full():
        objective(batch)


def test_a_place_that_an_axis_has_not(capfd: pytest.CaptureFixture[str]) -> None:
    """It is told before anything runs, and nothing else is printed."""
    objective = eager("loss f(x: real[b, d]) -> [d]:\n    x[7]\nobjective main(z: real[b, d]): f(z)\n")
    objective(z=torch.rand(8, 2))
    found = refused(lambda: objective(z=torch.rand(7, 2)))
    assert (found.code, found.expected, found.found) == ("LL0503", "8 or more elements", "7")
    assert "'b' of 'z'" in found.message
    assert capfd.readouterr().err == ""


def test_a_term_that_is_not_finite_has_its_place() -> None:
    objective = eager("l1 + mse(p, q) as far", check_finite=True)
    one = torch.rand(3)
    found = refused(lambda: objective(pred=one, target=one, p=torch.full((3,), 1e30), q=-one))
    assert found.span is not None and found.span.text == "mse(p, q) as far"
    found = refused(lambda: objective(pred=one / 0, target=one, p=one, q=one))
    assert found.span is not None and found.span.text == "l1"
    assert found.notes == ("'pred' is used by the term l1",)


# ------------------------------------------------------------------------------------------ places in data
LOOKUP = "loss pull(x: real[n, d], near: int[i]) -> [i]: sum[d](x[near])\n\nobjective main(x: real[n, d], near: int[i]"


def test_places_in_data_are_checked_at_the_first_call() -> None:
    objective = eager(f"{LOOKUP}): pull")
    batch = {"x": torch.rand(4, 2), "near": torch.tensor([0, -1])}
    found = refused(lambda: objective(batch))
    assert (found.code, found.message) == ("LL0505", "'near' points at place -1 of axis 'n'")
    assert objective({**batch, "near": torch.tensor([0, 3])}).total.isfinite()
    assert eager(f"{LOOKUP}): pull", validate=False)(batch).total.isfinite()


def test_what_a_mask_excludes_may_point_anywhere() -> None:
    objective = eager(f"{LOOKUP}, valid: bool[i]): pull(mask=valid)")
    out = objective(x=torch.rand(4, 2), near=torch.tensor([0, 99]), valid=torch.tensor([True, False]))
    assert out.total.isfinite()
    masked = eager("ce(mask=valid)")
    assert masked({**SCORES, "labels": torch.tensor([0, 1, 2, 77]), "valid": torch.arange(4) < 3}).total.isfinite()


def test_ignored_labels_are_not_the_only_ones_that_count() -> None:
    objective = eager("ce(ignore=-100)")
    assert refused(lambda: objective({**SCORES, "labels": torch.tensor([0, 1, -100, 9])})).code == "LL0505"


# ------------------------------------------------------------------------------------------ networks and copies
def test_weights_that_are_missing_have_their_place() -> None:
    text = 'l1 +\n  0.5*lpips(squeeze(weights="/none.pth"))'
    images = torch.rand(2, 3, 64, 64)
    found = refused(lambda: eager(text, allow=["LL0807"])(pred=images, target=images))
    assert found.code == "LL0602"
    assert found.span is not None and found.span.text == 'squeeze(weights="/none.pth")'


def test_a_network_by_default_stands_where_its_term_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("LOSSLANG_CACHE", str(tmp_path))
    monkeypatch.setenv("LOSSLANG_OFFLINE", "1")
    images = torch.rand(2, 3, 64, 64)
    found = refused(lambda: eager("l1 + 0.5*lpips as seen", allow=["LL0807"])(pred=images, target=images))
    assert found.code == "LL0602"
    assert found.span is not None and found.span.text == "0.5*lpips as seen"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_knows_its_places(again: Callable[[losslang.Objective], losslang.Objective]) -> None:
    objective = again(eager("l1 + ce"))
    found = refused(lambda: objective(pred=torch.rand(3), target=torch.rand(3), logits=torch.randn(4, 5)))
    assert found.span is not None and found.span.text == "ce"


@pytest.mark.parametrize(
    ("model", "code"), [(lambda x: x[:2], "LL0513"), (lambda x: (x, x), "LL0513"), (torch.rand(2), "LL0504")]
)
def test_a_model_is_told_with_its_term(model: object, code: str) -> None:
    text = (
        "objective o(net: real[b, d] -> logit[b, c], x: real[b, d], y: label[b] < c):\n    l1(x, 0) + ce(net(x), y)\n"
    )
    objective = eager(text)
    found = refused(lambda: objective({"net": model, "x": torch.rand(3, 4), "y": torch.tensor([0, 1, 1])}))
    assert found.code == code
    assert found.span is not None and found.span.text == "ce(net(x), y)"
    assert found.notes == ("'net' is used by the term ce",)
