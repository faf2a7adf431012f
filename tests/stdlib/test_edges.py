"""Batches at the edge of what a loss of pairs can use: one sample, one class, duplicates, zero vectors."""

from __future__ import annotations

from math import isfinite

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import losslang


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def assert_finite(text: str, **batch: Tensor) -> None:
    """The total and every gradient."""
    leaves = {name: x.clone().requires_grad_(x.is_floating_point()) for name, x in batch.items()}
    total = losslang.compile(text, backend="eager", allow=["LL0806", "LL0813"])(leaves).total
    assert isfinite(float(total.detach()))
    if total.requires_grad:
        total.backward()
    for name, leaf in leaves.items():
        assert leaf.grad is None or bool(torch.isfinite(leaf.grad).all()), name


VIEWS = {
    "one sample": (normal(1, 3), normal(2, 3)[1:]),
    "duplicates": (normal(1, 3).repeat(4, 1), normal(1, 3).repeat(4, 1)),
    "equal views": (normal(4, 3), normal(4, 3)),
    "zero vectors": (torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)),
}
NORMALISED = ["dcl", "dclw", "kernel_infonce", "hard_negatives", "debiased", "align", "clip", "siglip"]
FREE = ["infonce", "nt_xent", "macl", "barlow_twins", "vicreg", "byol(p=z1, z=z2)", "simsiam(p=z1, z=z2)"]


TWO_VIEWS = [(text, batch) for text in NORMALISED for batch in VIEWS if batch != "zero vectors"]
TWO_VIEWS += [(text, batch) for text in FREE for batch in VIEWS]


@pytest.mark.parametrize(("text", "batch"), TWO_VIEWS)
def test_two_views(text: str, batch: str) -> None:
    z1, z2 = VIEWS[batch]
    if text in NORMALISED:
        z1, z2 = F.normalize(z1), F.normalize(z2)
    assert_finite(text, z1=z1, z2=z2)


LABELLED = {
    "one sample": (normal(1, 3), torch.tensor([0])),
    "one class": (normal(4, 3), torch.tensor([0, 0, 0, 0])),
    "no class twice": (normal(4, 3), torch.tensor([0, 1, 2, 3])),
    "duplicates": (normal(1, 3).repeat(4, 1), torch.tensor([0, 0, 1, 1])),
    "zero vectors": (torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1])),
}


@pytest.mark.parametrize("batch", LABELLED)
@pytest.mark.parametrize(
    "text",
    [
        "triplet",
        "triplet(mine=semihard)",
        "triplet(distance=poincare)",
        "batch_hard",
        "contrastive_pair",
        "contrastive_pair(power=1)",
        "n_pairs",
        "lifted_structure",
        "angular",
        "multi_similarity",
        "multi_similarity(mine=informative)",
        "circle",
        "supcon_flat",
        "icnn(k=2)",
        "max_entropy",
        "decorrelation",
    ],
)
def test_labels(text: str, batch: str) -> None:
    z, labels = LABELLED[batch]
    assert_finite(text, z=z, labels=labels)


@pytest.mark.parametrize("batch", LABELLED)
@pytest.mark.parametrize(
    "text",
    [
        "proxy_nca(proxies=points)",
        "proxy_nca(proxies=points, among=all)",
        "proxy_anchor(proxies=points)",
        "mean_field_contrastive(fields=points)",
    ],
)
def test_proxies(text: str, batch: str) -> None:
    z, labels = LABELLED[batch]
    assert_finite(text, z=z, labels=labels, points=z[: int(labels.max()) + 1])


@pytest.mark.parametrize("batch", LABELLED)
def test_rows_that_spread(batch: str) -> None:
    assert_finite("koleo", z=LABELLED[batch][0])


def test_a_batch_without_negatives_loses_nothing() -> None:
    z = F.normalize(normal(1, 3))
    assert float(losslang.compile("dcl", backend="eager")(z1=z, z2=z).total) == 0
