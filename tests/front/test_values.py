"""Values of the language that are no tensors of the batch: extents of axes, losses as values, lists."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import losslang
from losslang import LosslangError
from losslang.ir.printer import print_objective
from losslang.passes import pipeline

Z = torch.tensor([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]])


def total(text: str, **batch: Any) -> float:
    """The total of a batch, which every stage of the compiler prints as the same nodes."""
    first = losslang.check(text)
    for stage in (first, pipeline.run(first)):
        printed = print_objective(stage)
        assert print_objective(losslang.check(printed)) == printed
    return float(losslang.compile(text, backend="eager")(**batch).total)


def inputs(text: str) -> list[str]:
    """The types of the inputs."""
    return [f"{node.name}: {node.type_text}" for node in losslang.check(text).inputs]


# ------------------------------------------------------------------------------------------ extents
COUNT = """
loss counted(z: embed[i, d], labels: label[i] < c) -> [i]:
    hit[i, c] = labels[i] == c
    sum[d](z) + sum[c](hit)*size(c)

"""


def test_a_call_gives_an_axis_of_an_argument_its_extent() -> None:
    assert inputs("ce(c=3)") == ["logits: logit[b, c=3, ...]", "labels: label[b, ...] < c"]
    assert inputs("focal + ce(c=3)") == inputs("ce(c=3)")
    with pytest.raises(LosslangError, match="LL0503.*axis 'c' of 'logits' has 2 elements"):
        losslang.compile("ce(c=3)", backend="eager")(logits=torch.zeros(4, 2), labels=torch.zeros(4).long())


def test_a_call_gives_an_axis_that_only_labels_index_its_extent() -> None:
    text = f"{COUNT}objective main(): counted(c=5)"
    assert total(text, z=Z, labels=torch.tensor([0, 4, 2])) == pytest.approx(3.5 / 3 + 5)
    with pytest.raises(LosslangError, match="(?s)LL0505.*0 to 4: axis 'c' has 5 elements"):
        losslang.compile(text, backend="eager")(z=Z, labels=torch.tensor([0, 5, 2]))


def test_a_call_inside_a_definition_gives_an_extent() -> None:
    text = (
        f"{COUNT}loss outer(z: embed[i, d], y: label[i] < n) -> [i]:\n    counted(z, y, c=5, d=2)\n\n"
        "objective main(): outer"
    )
    assert inputs(text) == ["z: embed[i, d=2]", "y: label[i] < n"]
    assert total(text, z=Z, y=torch.tensor([0, 4, 2])) == pytest.approx(3.5 / 3 + 5)


def test_a_call_gives_an_axis_that_a_binding_makes_its_extent() -> None:
    text = (
        "loss banked(z: embed[i, d]) -> [i]:\n    bank[n, d] = (n + 1)*mean[i](z)\n"
        "    max[n](dot(z[i], bank[n]))\n\nobjective main(): banked(n=4)"
    )
    mean = Z.mean(0)
    scores = torch.stack([(n + 1) * (Z @ mean) for n in range(4)]).max(0).values
    assert total(text, z=Z) == pytest.approx(float(scores.mean()))


def test_an_extent_may_be_a_scalar_of_the_header_or_given_before_the_call() -> None:
    assert inputs("objective main(logits: logit[b, c], classes: int = 7): ce(c=classes)")[0] == "logits: logit[b, c=7]"
    text = (
        "fn spread(x: real[d]):\n    each[n, d] = x + n\n    sum[n, d](each)\n\n"
        "loss uses(f: fn, z: embed[i, d]) -> [i]: f(z)\n\nobjective main(): uses(spread(n=3))"
    )
    assert total(text, z=Z) == pytest.approx(3.5 + 2 * 3)


def test_the_header_of_an_objective_gives_extents() -> None:
    text = "objective main[c=4](labels: label[b] < c, x: real[b]):\n    mse(pred=1.0*labels, target=x)\n"
    assert total(text, labels=torch.tensor([0, 3]), x=torch.tensor([1.0, 1.0])) == pytest.approx(2.5)
    with pytest.raises(LosslangError, match="LL0505"):
        losslang.compile(text, backend="eager")(labels=torch.tensor([0, 4]), x=torch.zeros(2))


# ------------------------------------------------------------------------------------------ losses as values
X, Y = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]]), torch.tensor([[0.0, 2.5, 1.0], [1.5, -1.0, 0.0]])
LOGITS, LABELS = torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, -1.0]]), torch.tensor([0, 2])
TWICE = "loss twice(L: loss, pred, target: real[b, t]) -> [b]:\n    part[b] = L(pred, target)\n    2*part\n\n"
CAREFUL = "loss doubled(L: loss, logits: logit[b, c], labels: label[b] < c) -> [b]: 2*L(logits, labels)\n\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("mse", lambda d: d**2),
        ("mse + 0.5*l1", lambda d: d**2 + 0.5 * d.abs()),
        ("L=mse - l1/4", lambda d: d**2 - d.abs() / 4),
        ("exp(-mse)", lambda d: (-(d**2)).exp()),
        ("1 - exp(-mse)", lambda d: 1 - (-(d**2)).exp()),
        ("max(l1, mse)", lambda d: torch.maximum(d.abs(), d**2)),
        ("huber(delta=0.5)", lambda d: torch.where(d.abs() < 0.5, d**2 / 2, 0.5 * (d.abs() - 0.25))),
        ("2*huber(delta=0.5) + (l1 if true else mse)", None),
    ],
)
def test_arithmetic_on_losses_is_a_loss(written: str, value: Any) -> None:
    text = f"{TWICE}objective main(): twice({written})"
    if value is None:
        assert total(text, pred=X, target=Y) == pytest.approx(
            total(f"{TWICE}objective main(): 2*twice(huber(delta=0.5)) + twice(l1)", pred=X, target=Y)
        )
    else:
        assert total(text, pred=X, target=Y) == pytest.approx(float(2 * value(X - Y).mean()))


def test_each_part_gets_the_arguments_that_it_takes() -> None:
    text = "sharp = ce(smoothing=0.1) + 0.5*poly1\n\n" + CAREFUL
    parts = "ce(smoothing=0.1) + 0.5*poly1(epsilon=2)"
    direct = total(parts, logits=LOGITS, labels=LABELS)
    assert total(f"{text}objective main(): sharp(epsilon=2)", logits=LOGITS, labels=LABELS) == pytest.approx(direct)
    assert total(f"{text}objective main(): doubled(sharp(epsilon=2))", logits=LOGITS, labels=LABELS) == pytest.approx(
        2 * direct
    )
    assert total(f"{text}objective main(): doubled({parts})", logits=LOGITS, labels=LABELS) == pytest.approx(2 * direct)
    with pytest.raises(LosslangError, match="(?s)LL0202.*loss sharp has no parameter 'smoothing'"):
        losslang.check("sharp = ce(smoothing=0.1) + poly1\n\nobjective main(): sharp(smoothing=0.2)")


def test_a_loss_of_numbers_and_of_a_parameter_is_a_value_too() -> None:
    text = TWICE + (
        "loss mixed(L: loss, w: real, pred, target: real[b, t]) -> [b]:\n    M = w*L + (1 - w)*mse\n"
        "    twice(M, pred, target)\n\nobjective main(): mixed(l1, 0.25)"
    )
    d = X - Y
    wanted = 2 * (0.25 * d.abs() + 0.75 * d**2).mean()
    assert total(text, pred=X, target=Y) == pytest.approx(float(wanted))


def test_an_alias_is_a_loss_under_its_own_name_and_a_sum_is_taken_apart() -> None:
    text = (
        "half = 0.5*l1\nroot = sqrt(mse)\nboth = half + 3*mse\nquarter = 0.25\n\n"
        "objective main(): half + root(pred, target) + both(reduce=sum) + quarter*l1"
    )
    found = losslang.check(text)
    assert [term.name for term in found.terms] == ["half", "root", "half_2", "mse", "l1"]
    d = X - Y
    wanted = d.abs().mean() * (0.5 + 1 + 0.25) + d.abs().sum() / 2 + 3 * (d**2).sum()
    assert total(text, pred=X, target=Y) == pytest.approx(float(wanted))


def test_what_is_higher_is_better_stays_so() -> None:
    for text in ("same = cosine\n", "same = 2*cosine\n", "same = cosine - 1\n", "same = exp(cosine)\n"):
        with pytest.raises(LosslangError, match="LL0403"):
            losslang.check(f"{text}\nobjective main(): same")
    for text in ("far = -cosine\n", "far = 1 - cosine\n", "far = -2*cosine\n", "far = exp(-cosine)\n"):
        assert losslang.check(f"{text}\nobjective main(): far").terms[0].name == "far"


def test_aliases_that_double_at_every_level_are_refused() -> None:
    aliases = "".join(f"a{k + 1} = sqrt(a{k}*a{k})\n" for k in range(60))
    with pytest.raises(LosslangError, match="LL0406"):
        losslang.check(f"a0 = l1\n{aliases}\nobjective main(): a60")


# ------------------------------------------------------------------------------------------ rows inside definitions
def test_rows_that_are_bound_to_fewer_axes_are_reduced_over_the_others() -> None:
    text = (
        "loss pairs(L: loss, pred, target: real[b, s, t]) -> [b]:\n"
        "    pair[b, i, j] = L(pred[s=i], target[s=j])\n    min[i, j](pair)\n\nobjective main(): pairs(mse)"
    )
    pred, target = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    pair = ((pred[:, :, None] - target[:, None]) ** 2).mean(-1)
    assert total(text, pred=pred, target=target) == pytest.approx(float(pair.amin((1, 2)).mean()), rel=1e-5)


def test_rows_are_reduced_with_their_own_filter_and_normaliser() -> None:
    text = (
        "loss weighed(x, w: real[b, t]) -> [b, t if w > 0] / w: w*x\n\n"
        "loss outer(L: loss, x, w: real[b, t]) -> [b]:\n    row[b] = L(x, w)\n    row\n\n"
        "objective main(): outer(weighed)"
    )
    w = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.5, 0.5]])
    kept = w.clamp(min=0)
    assert total(text, x=X, w=w) == pytest.approx(float(((kept * X).sum(1) / kept.sum(1)).mean()))


def test_a_result_of_fewer_axes_reduces_rows() -> None:
    text = (
        "loss weighed(x, w: real[b, t]) -> [b, t] / w: w*x\n\n"
        "loss outer(x, w: real[b, t]) -> [b]: 2*weighed(x, w)\n\nobjective main(): outer"
    )
    w = torch.tensor([[1.0, 2.0, 1.0], [0.0, 0.5, 0.5]])
    assert total(text, x=X, w=w) == pytest.approx(float(2 * ((w * X).sum(1) / w.sum(1)).mean()))


def test_rows_keep_what_their_mean_divides_by_through_a_definition() -> None:
    text = (
        "loss named(logits: logit[b, c], labels: label[b] < c, w: real[c]) -> [b]:\n"
        "    3*ce(logits, labels, class_weight=w)\n\nobjective main(): named"
    )
    w = torch.tensor([1.0, 5.0, 0.25])
    wanted = 3 * torch.nn.functional.cross_entropy(LOGITS, LABELS, weight=w)
    assert total(text, logits=LOGITS, labels=LABELS, w=w) == pytest.approx(float(wanted))


def test_a_call_inside_a_definition_says_how_its_rows_are_reduced() -> None:
    text = (
        "loss f(x, y: real[b, t]) -> [b]: mean[t](l1(x, y)) + sqrt(mse(x, y, reduce=mean)) + l1(x, y, reduce=sum)\n\n"
        "objective main(): f"
    )
    d = X - Y
    wanted = d.abs().mean() + (d**2).mean().sqrt() + d.abs().sum()
    assert total(text, x=X, y=Y) == pytest.approx(float(wanted))
    assert total("sqrt(mse(reduce=mean))", pred=X, target=Y) == pytest.approx(float((d**2).mean().sqrt()))


def test_rows_and_numbers_add_and_rows_of_different_things_do_not() -> None:
    text = "loss f(x, y: real[b, t]): l1(x, y) + 0.5*uniform(unit(x))\n\nobjective main(): f"
    wanted = (X - Y).abs().mean() + 0.5 * total("uniform", z=torch.nn.functional.normalize(X, dim=-1))
    assert total(text, x=X, y=Y) == pytest.approx(float(wanted), rel=1e-5)
    with pytest.raises(LosslangError, match=r"(?s)LL0310.*mean\[b, t\]"):
        losslang.check(
            "loss g(x: real[b, t]) -> [b]: sum[t](x)\n\nloss f(x, y: real[b, t]): l1(x, y) + g(x)\n\nobjective o(): f"
        )
