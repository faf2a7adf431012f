"""The table of docs/diagnostics.md: every mistake in it is tried, and losslang says what the table says."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import losslang
from losslang import LosslangError, LosslangWarning, compiler, diagnostics
from losslang.diagnostics import Diagnostic
from losslang.runtime.module import Objective, Output
from losslang.sema.modules import library
from losslang.syntax import ast

PAGE = Path(__file__).parents[2] / "docs" / "diagnostics.md"

Batch = dict[str, Tensor]


class Row(NamedTuple):
    """A mistake, a text that makes it, and what losslang says."""

    mistake: str
    text: str
    answer: str


def rows() -> list[Row]:
    """The rows of the page's tables."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    found = [Row(mistake, _program(text), answer) for mistake, text, answer in cells if mistake != "mistake"]
    assert len({row.mistake for row in found}) == len(found)
    return found


def _program(cell: str) -> str:
    text = cell.strip("`").replace("⏎", "\n")
    return f"{text}\n" if text.startswith(("objective", "loss", "use")) else text


ROWS = rows()
SAID = [row for row in ROWS if row.answer.startswith("LL")]
CALLED = [row for row in ROWS if row.answer.startswith("call")]
IMPOSSIBLE = [row for row in ROWS if row.answer.startswith("cannot happen")]
UNSEEN = [row for row in ROWS if row.answer.startswith("not seen")]


def named(row: Row) -> str:
    return row.mistake


def test_every_row_is_tried() -> None:
    assert len(SAID) + len(CALLED) + len(IMPOSSIBLE) + len(UNSEEN) == len(ROWS) > 80
    assert {row.mistake for row in CALLED} == set(BATCHES)
    assert {row.mistake.partition(" (")[0] for row in IMPOSSIBLE} == set(PROOFS)


# ------------------------------------------------------------------------------------------ what a text shows
@pytest.mark.parametrize("row", SAID, ids=named)
def test_the_text_is_told(row: Row) -> None:
    (found,) = compiler.diagnose(row.text)
    assert found.code == row.answer[:6] and found.span is not None and found.span.text
    assert names_something_of(row.text, found)


def names_something_of(text: str, found: Diagnostic) -> bool:
    """Whether a message, without the quoted line, says a name of the text's, or of a parameter of its losses."""
    said = " ".join(filter(None, (found.message, found.expected, found.found, found.hint)))
    names = set(re.findall(r"[A-Za-z_]\w*", text))
    used = [entry.item for entry in library() if entry.name in names]
    names |= {p.name for item in used if isinstance(item, ast.Definition) for p in item.parameters}
    quoted = set(re.findall(r"'(\w+)'", said))
    return bool(names & quoted or {name for name in names - WORDS if len(name) > 1} & set(re.findall(r"\w+", said)))


WORDS = {"objective", "loss", "real", "label", "logit", "prob"}
"""What is no name of anybody's."""


# ------------------------------------------------------------------------------------------ what a batch shows
SCORES = torch.tensor([[2.0, -1, 0.5], [0.1, 0.2, 3], [1, 1, -2], [0, -1, 1]])
LABELS = torch.tensor([0, 2, 1, 2])
UNIT = torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)

BATCHES: dict[str, tuple[str, Callable[[], Batch]]] = {
    "a model whose last layer is a softmax, and ce": (
        "scores",
        lambda: {"scores": SCORES.softmax(1), "labels": LABELS},
    ),
    "a model whose last layer is a sigmoid, and bce": (
        "scores",
        lambda: {"scores": torch.linspace(-3, 3, 64).sigmoid(), "target": torch.ones(64)},
    ),
    "logits handed to dice, undeclared": (
        "scores",
        lambda: {"scores": torch.linspace(-3, 3, 48).reshape(1, 3, 4, 4), "target": torch.ones(1, 3, 4, 4)},
    ),
    "cross-entropy of one channel, undeclared": (
        "scores",
        lambda: {"scores": torch.linspace(-3, 3, 32).reshape(2, 1, 4, 4), "labels": torch.zeros(2, 4, 4).long()},
    ),
    "LPIPS of images in 0..1 (bytetriper/RAE#25)": ("restored", lambda: {"restored": UNIT, "original": 2 * UNIT - 1}),
    "images in bytes": ("restored", lambda: {"restored": 255 * UNIT, "original": UNIT}),
    "vectors that are not normalised": ("scores", lambda: {"scores": 3 * SCORES, "others": SCORES}),
    "(B,1) against (B) (pytorch#16045)": ("row", lambda: {"column": torch.ones(4, 1), "row": torch.ones(4)}),
    "a mask that is false everywhere": (
        "seen",
        lambda: {"pred": SCORES, "target": SCORES + 1, "seen": torch.zeros(4, 3, dtype=torch.bool)},
    ),
    "nothing but ignored labels: NaN in torch": (
        "labels",
        lambda: {"scores": SCORES, "labels": torch.full((4,), -100)},
    ),
    "class weights of the wrong length (MONAI#7729)": (
        "w",
        lambda: {"scores": SCORES, "labels": LABELS, "w": torch.ones(4)},
    ),
    "class numbers as floats": ("labels", lambda: {"scores": SCORES, "labels": LABELS.float()}),
    "labels that start at 1": ("labels", lambda: {"scores": SCORES, "labels": LABELS + 1}),
    "several ones in a target for softmax": ("target", lambda: {"scores": SCORES, "target": (SCORES > 0).float()}),
    "weights of LPIPS not loaded (PerceptualSimilarity#72)": (
        "missing.pth",
        lambda: {"restored": UNIT, "original": UNIT},
    ),
    "NaN in a sum of terms, and in which": (
        "d",
        lambda: {name: torch.full((2,), float("nan") if name == "d" else 1.0) for name in "abcd"},
    ),
}
"""For each row that a batch shows: the name that the message must say, and the batch."""


def told(text: str, batch: Batch, **options: Any) -> Diagnostic:
    """The only thing that a first call says."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            losslang.compile(text, backend="eager", **options)(batch)
        except LosslangError as error:
            (found,) = error.diagnostics
            return found
    (said,) = [one.message for one in caught if isinstance(one.message, LosslangWarning)]
    return said.diagnostic


@pytest.mark.parametrize("row", CALLED, ids=named)
def test_the_batch_is_told(row: Row) -> None:
    assert not compiler.diagnose(row.text), "the text alone does not show it"
    name, batch = BATCHES[row.mistake]
    found = told(row.text, batch(), check_finite="check_finite" in row.answer)
    assert found.code == row.answer.removeprefix("call ")[:6]
    shown = diagnostics.render([found])
    assert re.search(rf"(?<!\w){re.escape(name)}(?!\w)", " ".join(filter(None, (found.message, found.found)))), shown
    assert found.span is not None and f"{found.span.text}" in row.text, shown


# ------------------------------------------------------------------------------------------ what is not seen
@pytest.mark.parametrize("row", UNSEEN, ids=named)
def test_the_table_is_honest(row: Row) -> None:
    assert not compiler.diagnose(row.text)


# ------------------------------------------------------------------------------------------ what cannot happen
def quiet(text: str, **options: Any) -> Objective:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LosslangWarning)
        return losslang.compile(text, backend="eager", **options)


def value(text: str, **batch: Tensor) -> float:
    return float(run(quiet(text), **batch).total)


def run(objective: Objective, **batch: Tensor) -> Output:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LosslangWarning)
        return objective(**batch)


def gradients(text: str, **batch: Tensor) -> dict[str, Tensor]:
    """The gradients by every real tensor."""
    given = {name: x.clone().requires_grad_(x.is_floating_point()) for name, x in batch.items()}
    run(quiet(text), **given).backward()
    return {name: x.grad if x.grad is not None else torch.zeros_like(x) for name, x in given.items() if x.requires_grad}


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def same(a: float | Tensor, b: float | Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(torch.as_tensor(a).double(), torch.as_tensor(b).double(), atol=tolerance, rtol=tolerance)


PROBS = noise(4, 3, 5, 5).softmax(1)
ONES = torch.eye(3, dtype=torch.float64)[noise(4, 5, 5, seed=1).abs().clamp(max=2).long()].movedim(3, 1)


def each_image_by_itself(text: str) -> None:
    parts = [value(text, p=PROBS[i : i + 1], t=ONES[i : i + 1]) for i in range(4)]
    same(value(text, p=PROBS, t=ONES), sum(parts) / 4)


def ranges_are_converted(text: str) -> None:
    x, y = UNIT, UNIT.flip(3)
    as_it_is = text.replace("0..1", "-1..1")
    converted = value(text, x=x, y=y)
    assert converted == pytest.approx(value(as_it_is, x=2 * x - 1, y=2 * y - 1), rel=1e-3)
    assert converted > 2 * value(as_it_is, x=x, y=y)


def weights_do_not_cancel(text: str) -> None:
    p = torch.tensor([[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]], dtype=torch.float64).reshape(1, 2, 1, 3)
    t = torch.tensor([[1.0, 1, 0], [0, 0, 1]], dtype=torch.float64).reshape(1, 2, 1, 3)
    weights = torch.tensor([1 / 4, 1.0], dtype=torch.float64)
    inter, union = (p * t).sum((0, 2, 3)), (p + t).sum((0, 2, 3))
    by_hand = 1 - 2 * (weights * inter).sum() / (weights * union).sum()
    cancelled = 1 - (2 * inter / union).mean()
    assert abs(value(text, p=p, t=t) - by_hand) < 1e-5 < 1e-3 < abs(by_hand - cancelled)


def terms_have_rows_of_their_own(text: str) -> None:
    batch = {"x": noise(4, 3), "y": LABELS, "p": noise(7, 2, seed=1), "t": noise(7, 2, seed=2)}
    out = run(quiet(text), **batch)
    same(out.terms["ce"].value, torch.nn.functional.cross_entropy(batch["x"], LABELS))
    same(out.terms["l1"].value, (batch["p"] - batch["t"]).abs().mean())


def gradients_are_those_of_the_rows(text: str) -> None:
    x = noise(4, 3).requires_grad_()
    factors = torch.tensor([1.0, -2, 0, 3], dtype=torch.float64)
    (got,) = torch.autograd.grad((run(quiet(text), x=x, y=LABELS).total * factors).sum(), x)
    wanted = torch.nn.functional.cross_entropy(x, LABELS, reduction="none")
    same(got, torch.autograd.grad((wanted * factors).sum(), x)[0])


def alpha_weighs_the_positives(text: str) -> None:
    x, t = noise(6), torch.tensor([1.0, 1, 1, 0, 0, 0], dtype=torch.float64)
    grad = gradients(text, x=x, t=t)["x"]
    assert bool((grad[:3] != 0).all()) and bool((grad[3:] == 0).all())


def not_clamped(text: str) -> None:
    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inverse = 1 - x
    assert value(text, x=inverse, y=x) > 1.1, "a similarity below 0"
    assert float(gradients(text, x=inverse, y=x)["x"].abs().max()) > 1e-4


def the_distance_of_equals_is_zero(text: str) -> None:
    x = noise(3, 4)
    assert value(text, x=x, y=x) == 0 and bool((gradients(text, x=x, y=x)["x"] == 0).all())
    same(value(text, x=x, y=x + 1), 2)


def networks_are_no_parameters(text: str) -> None:
    objective = quiet(text)
    first = run(objective, restored=UNIT, original=UNIT.flip(3))
    objective.train()
    assert not list(objective.parameters()) and not any("weight" in key for key in objective.state_dict())
    assert torch.equal(first.total, run(objective, restored=UNIT, original=UNIT.flip(3)).total)
    assert float(first.total.detach()) > 0


def proxies_are_parameters(text: str) -> None:
    objective = quiet(text)
    batch = {"z": noise(4, 4, dtype=torch.float32), "labels": LABELS}
    run(objective, **batch).backward()
    ((name, proxies),) = objective.named_parameters()
    assert name in objective.state_dict() and proxies.shape == (3, 4)
    assert proxies.grad is not None and float(proxies.grad.abs().max()) > 0


def finite_in_half(text: str, **batch: Tensor) -> None:
    """Half precision gives what its tensors give in float32."""
    for dtype in (torch.float16, torch.bfloat16):
        low = {name: x.to(dtype) if x.is_floating_point() else x for name, x in batch.items()}
        high = {name: x.float() if x.is_floating_point() else x for name, x in low.items()}
        assert value(text, **low) == value(text, **high)
        assert all(bool(grad.isfinite().all()) for grad in gradients(text, **low).values())


def dice_in_half(text: str) -> None:
    large = torch.zeros(1, 2, 400, 400)
    large[:, 0] = 1
    finite_in_half(text, p=large, t=large)
    finite_in_half(text, p=torch.zeros(1, 2, 4, 4), t=torch.zeros(1, 2, 4, 4))


def triplet_in_half(text: str) -> None:
    z = noise(4, 8, dtype=torch.float32) * 1e-2 + 1
    batch = {"z": z, "labels": torch.tensor([0, 0, 1, 1])}
    finite_in_half(text, **batch)
    assert float(gradients(text, **{**batch, "z": z.half()})["z"].abs().max()) > 0


def autocast_ends(text: str) -> None:
    x, y = UNIT, UNIT.flip(3)
    plain = value(text, x=x, y=y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert value(text, x=x, y=y) == plain


def powers_are_finite(text: str) -> None:
    grad = gradients(text, x=torch.tensor([[200.0, 0, 0], [-200, 0, 0]]), y=torch.tensor([0, 0]))["x"]
    assert bool(grad.isfinite().all()) and bool((grad[1] != 0).any())


def negatives_are_finite(text: str) -> None:
    x = torch.rand(1, 1, 192, 192, generator=torch.Generator().manual_seed(0))
    inverse = 1 - x
    assert abs(value(text, x=inverse, y=x)) < 10
    assert bool(gradients(text, x=inverse, y=x)["x"].isfinite().all())


def no_rows_without_positives(text: str) -> None:
    z = noise(5, 4)
    assert value(text, z=z, labels=torch.arange(5)) == 0
    assert bool((gradients(text, z=z, labels=torch.arange(5))["z"] == 0).all())
    assert value(text, z=z, labels=torch.tensor([0, 0, 1, 2, 3])) > 0


def norms_are_finite(text: str) -> None:
    grad = gradients(text, z=torch.ones(4, 3), labels=torch.tensor([0, 0, 1, 1]))["z"]
    assert bool(grad.isfinite().all())


def weights_change(text: str) -> None:
    objective = quiet(text)
    seen = [float(run(objective, a=torch.ones(3), b=torch.zeros(3)).total) for _ in range(6)]
    assert seen == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])


def many_terms(text: str) -> None:
    first, second = text.split(" + ")
    objective = quiet(" + ".join(f"{first} + {second}" for _ in range(500)))
    (a, c) = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    out = run(objective, a=a, b=torch.zeros(3), c=c, d=torch.zeros(3))
    out.backward()
    assert len(out.terms) == 1000 and float(out.total.detach()) == pytest.approx(1000)


def equal_values_stay_two_terms(text: str) -> None:
    objective = quiet(text)
    one, zero = torch.ones(3), torch.zeros(3)
    assert float(run(objective, a=one, b=zero, c=one, d=zero).total) == 2
    assert float(run(objective, a=one, b=zero, c=3 * one, d=zero).total) == 4


def both_are_logged(text: str) -> None:
    log = run(quiet(text), a=torch.ones(3), b=torch.zeros(3)).terms["l1"]
    assert (float(log.value), float(log.weight)) == (1, 0.5)


def terms_do_not_depend_on_the_batch(text: str) -> None:
    objective = quiet(text)
    zero = torch.zeros(3)
    wanted = ["l1", "mse"]
    assert list(run(objective, a=zero, b=zero, c=zero, d=zero).terms) == wanted
    assert list(run(objective, a=zero + 1, b=zero, c=zero, d=zero).terms) == wanted


def what_is_stored_is_resumed(text: str) -> None:
    first, second = quiet(text), quiet(text)
    run(first, x=torch.full((3,), 5.0))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert float(run(second, x=torch.full((3,), 7.0)).total) == 2


def terms_have_names(text: str) -> None:
    out = run(quiet(text), a=noise(4, 3), b=noise(4, 3, seed=1), y=LABELS)
    assert list(out.terms) == ["ce", "ce_2"]
    same(out.total, out.terms["ce"].value + out.terms["ce_2"].value)


PROOFS: dict[str, Callable[[str], None]] = {
    "LPIPS of declared images in 0..1": ranges_are_converted,
    "a batch that broadcasts against itself": each_image_by_itself,
    "dice over the batch, unmeant": each_image_by_itself,
    "generalized dice whose weights cancel out": weights_do_not_cancel,
    "a mean that another term changes": terms_have_rows_of_their_own,
    "`reduce=none` with other gradients": gradients_are_those_of_the_rows,
    "alpha on the wrong class": alpha_weighs_the_positives,
    "SSIM clamped, without a gradient": not_clamped,
    "a moved minimum": the_distance_of_equals_is_zero,
    "weights of LPIPS trained by accident; VGG not in eval mode": networks_are_no_parameters,
    "proxies that no optimizer has": proxies_are_parameters,
    "dice in half precision is inf or NaN": dice_in_half,
    "triplet flat in half precision": triplet_in_half,
    "autocast changes a loss": autocast_ends,
    "focal's gradient is NaN for gamma below 1": powers_are_finite,
    "MS-SSIM of a negative": negatives_are_finite,
    "SupCon without positives": no_rows_without_positives,
    "the gradient of a distance at 0": norms_are_finite,
    "weights that cannot change": weights_change,
    "many terms hit a recursion limit": many_terms,
    "equal values merged into one": equal_values_stay_two_terms,
    "raw or weighted in the log": both_are_logged,
    "ranks with other terms": terms_do_not_depend_on_the_batch,
    "a queue or mean lost at resume": what_is_stored_is_resumed,
    "a term beside another that replaces it": terms_have_names,
}
"""For each row that cannot happen: what shows it."""


@pytest.mark.parametrize("row", IMPOSSIBLE, ids=named)
def test_it_cannot_happen(row: Row) -> None:
    assert not [one for one in compiler.diagnose(row.text) if one.severity == "error"]
    PROOFS[row.mistake.partition(" (")[0]](row.text)
