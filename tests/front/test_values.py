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
