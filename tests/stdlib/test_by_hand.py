"""Losses that no golden case covers against transcriptions in torch: loops over samples, one pair at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log, pi, tan

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import losslang

Batch = dict[str, Tensor]


def batch(seed: int, count: int = 9, classes: int = 3, size: int = 4) -> Batch:
    """Embeddings of some samples with labels."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    labels = torch.randint(0, classes, (count,), generator=random)
    return {"z": normal(count, size), "z1": normal(count, size), "z2": normal(count, size), "labels": labels}


def assert_same(text: str, transcription: Callable[[Batch], Tensor], given: Batch) -> None:
    """Value and gradients of an objective and of what it is in torch."""
    found = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in given.items()}
    wanted = {k: v.clone().requires_grad_(v.is_floating_point()) for k, v in given.items()}
    objective = losslang.compile(text, backend="eager")
    total, value = objective(found).total, transcription(wanted)
    torch.testing.assert_close(total, value, rtol=1e-9, atol=1e-12)
    total.backward()
    value.backward()
    for name, leaf in wanted.items():
        if leaf.grad is not None:
            torch.testing.assert_close(found[name].grad, leaf.grad, rtol=1e-9, atol=1e-12, msg=name)


def mean(rows: list[Tensor]) -> Tensor:
    """The mean of some rows; of none it is 0."""
    return torch.stack(rows).mean() if rows else torch.zeros((), dtype=torch.float64, requires_grad=True)


# ------------------------------------------------------------------------------------------ triplets and miners
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "euclidean": lambda a, b: (F.normalize(a, dim=0) - F.normalize(b, dim=0)).norm(),
    "sqdist": lambda a, b: (a - b).square().sum(),
}

MINERS: dict[str, Callable[[float, float], bool]] = {
    "every_triplet": lambda ap, an: True,
    "violating": lambda ap, an: an - ap <= 0.3,
    "semihard": lambda ap, an: ap < an <= ap + 0.3,
    "hard": lambda ap, an: an <= ap,
    "easy": lambda ap, an: an > ap,
}


def triplets(labels: Tensor) -> Iterator[tuple[int, int, int]]:
    """Every anchor, positive and negative."""
    same = labels[:, None] == labels[None, :]
    for a, p, n in torch.cartesian_prod(*[torch.arange(len(labels))] * 3).tolist():
        if a != p and same[a, p] and not same[a, n]:
            yield a, p, n


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("miner", MINERS)
def test_triplets_of_a_miner(miner: str, distance: str, seed: int) -> None:
    def transcription(x: Batch) -> Tensor:
        z, rows = x["z"], list[Tensor]()
        for a, p, n in triplets(x["labels"]):
            near, far = (DISTANCES[distance](z[a], z[k]) for k in (p, n))
            if MINERS[miner](float(near.detach()), float(far.detach())):
                rows.append(F.relu(near - far + 0.3))
        return mean([row for row in rows if row > 0])

    given = {k: v for k, v in batch(seed).items() if k in ("z", "labels")}
    assert_same(f"triplet(margin=0.3, distance={distance}, mine={miner})", transcription, given)


def test_a_miner_has_a_margin_of_its_own() -> None:
    def transcription(x: Batch) -> Tensor:
        z, rows = x["z"], list[Tensor]()
        for a, p, n in triplets(x["labels"]):
            near, far = (DISTANCES["euclidean"](z[a], z[k]) for k in (p, n))
            if 0 < far - near <= 0.5:
                rows.append(F.softplus(near - far + 0.1))
        return mean(rows)

    given = {k: v for k, v in batch(0).items() if k in ("z", "labels")}
    assert_same("triplet(margin=0.1, mine=semihard(margin=0.5), hinge=softplus)", transcription, given)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hinge", ["relu", "softplus"])
def test_batch_hard(hinge: str, seed: int) -> None:
    def transcription(x: Batch) -> Tensor:
        z, labels, rows = x["z"], x["labels"].tolist(), list[Tensor]()
        for a, label in enumerate(labels):
            near = [DISTANCES["euclidean"](z[a], z[k]) for k, other in enumerate(labels) if k != a and other == label]
            far = [DISTANCES["euclidean"](z[a], z[k]) for k, other in enumerate(labels) if other != label]
            if near and far:
                rows.append(getattr(F, hinge)(torch.stack(near).max() - torch.stack(far).min() + 0.2))
        return mean(rows)

    given = {k: v for k, v in batch(seed).items() if k in ("z", "labels")}
    assert_same(f"batch_hard(margin=0.2, hinge={hinge})", transcription, given)


# ------------------------------------------------------------------------------------------ pairs
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_multi_similarity_of_informative_pairs(eps: float, seed: int) -> None:
    alpha, beta, base = 2.0, 10.0, 0.5

    def transcription(x: Batch) -> Tensor:
        u, labels, rows = F.normalize(x["z"]), x["labels"].tolist(), list[Tensor]()
        s = u @ u.T
        for a, label in enumerate(labels):
            near = [s[a, k] for k, other in enumerate(labels) if k != a and other == label]
            far = [s[a, k] for k, other in enumerate(labels) if other != label]
            kept = [p for p in near if far and p - eps < max(far)]
            left = [n for n in far if near and n + eps > min(near)]
            rows.append(_softplus_sum([-alpha * (p - base) for p in kept]) / alpha)
            rows[-1] = rows[-1] + _softplus_sum([beta * (n - base) for n in left]) / beta
        return mean(rows)

    given = {k: v for k, v in batch(seed).items() if k in ("z", "labels")}
    assert_same(f"multi_similarity(beta=10, mine=informative(eps={eps}))", transcription, given)


def _softplus_sum(exponents: list[Tensor]) -> Tensor:
    """log(1 + the sum of exponentials)."""
    return torch.logsumexp(torch.stack([torch.zeros((), dtype=torch.float64), *exponents]), 0)


def test_pairs_as_in_the_paper_are_squared() -> None:
    def transcription(x: Batch) -> Tensor:
        z, labels, near, far = x["z"], x["labels"].tolist(), list[Tensor](), list[Tensor]()
        for a, label in enumerate(labels):
            for b, other in enumerate(labels):
                d = DISTANCES["euclidean"](z[a], z[b]) if a != b else z.new_zeros(())
                if a != b and label == other and d > 0.1:
                    near.append((d - 0.1) ** 2 / 2)
                elif label != other and d < 1:
                    far.append((1 - d) ** 2 / 2)
        return mean(near) + mean(far)

    given = {k: v for k, v in batch(0).items() if k in ("z", "labels")}
    assert_same("contrastive_pair(slack=0.1)", transcription, given)


def test_n_pairs_as_in_the_paper_are_products() -> None:
    def transcription(x: Batch) -> Tensor:
        z, labels = x["z"], x["labels"].tolist()
        places = [[k for k, label in enumerate(labels) if label == c][:2] for c in range(3)]
        pairs = [pair for pair in places if len(pair) == 2]
        first, second = z[[a for a, _ in pairs]], z[[b for _, b in pairs]]
        return F.cross_entropy(first @ second.T, torch.arange(len(pairs)))

    given = {k: v for k, v in batch(0).items() if k in ("z", "labels")}
    assert_same("n_pairs", transcription, given)


def test_angles_of_directions() -> None:
    t = tan(40 * pi / 180) ** 2

    def transcription(x: Batch) -> Tensor:
        u, labels, rows = F.normalize(x["z"]), x["labels"].tolist(), list[Tensor]()
        for a, label in enumerate(labels):
            for p, other in enumerate(labels):
                if a == p or other != label:
                    continue
                rest = [k for k, third in enumerate(labels) if third != label]
                rows.append(_softplus_sum([4 * t * (u[a] + u[p]) @ u[k] - 2 * (1 + t) * u[a] @ u[p] for k in rest]))
        return mean(rows)

    given = {k: v for k, v in batch(1, count=6).items() if k in ("z", "labels")}
    assert_same("angular", transcription, given)


# ------------------------------------------------------------------------------------------ two views
def unit_views(seed: int) -> Batch:
    """Two views of some samples, normalised."""
    given = batch(seed)
    return {name: F.normalize(given[name]) for name in ("z1", "z2")}


def test_the_kernel_without_a_floor() -> None:
    def transcription(x: Batch) -> Tensor:
        z = torch.cat([x["z1"], x["z2"]])
        count, rows = len(x["z1"]), list[Tensor]()
        for a in range(2 * count):
            near = [
                -((z[a] - z[b]).norm() ** 0.5) / 0.3 if a != b else z.new_tensor(-torch.inf) for b in range(2 * count)
            ]
            rows.append(torch.logsumexp(torch.stack(near), 0) - near[(a + count) % (2 * count)])
        return mean(rows)

    assert_same("kernel_infonce(gamma=0.5, tau=0.3)", transcription, unit_views(0))


def test_hard_negatives_with_few_of_the_own_class() -> None:
    def transcription(x: Batch) -> Tensor:
        z, count = torch.cat([x["z1"], x["z2"]]), len(x["z1"])
        others, rows = 2 * count - 2, list[Tensor]()
        for a in range(2 * count):
            own = torch.exp(z[a] @ z[(a + count) % (2 * count)] / 0.5)
            e = torch.stack([torch.exp(z[a] @ z[b] / 0.5) for b in range(2 * count) if b % count != a % count])
            weights = e**2 / (e**2).mean()
            away = ((weights * e).mean() * others - 0.2 * others * own) / 0.8
            rows.append(-torch.log(own / (own + away.clamp_min(others * torch.exp(torch.tensor(-2.0).double())))))
        return mean(rows)

    assert_same("hard_negatives(beta=2, tau_plus=0.2)", transcription, unit_views(1))


def test_patches_of_a_batch() -> None:
    def transcription(x: Batch) -> Tensor:
        q, k = (x[name].reshape(-1, x[name].shape[-1]) for name in "qk")
        return F.cross_entropy(q @ k.detach().T / 0.2, torch.arange(len(q)))

    random = torch.Generator().manual_seed(0)
    given = {name: F.normalize(torch.randn(2, 3, 4, generator=random, dtype=torch.float64), dim=-1) for name in "qk"}
    assert_same("patchnce(tau=0.2, negatives=batch)", transcription, given)


def test_neighbours_in_a_support_set() -> None:
    def transcription(x: Batch) -> Tensor:
        near = (F.normalize(x["z1"]) @ F.normalize(x["support"]).T).argmax(1)
        s = F.normalize(x["support"][near]) @ F.normalize(x["z2"]).T / 0.1
        return F.cross_entropy(s, torch.arange(len(s)))

    given = batch(2)
    assert_same("nnclr", transcription, {"z1": given["z1"], "z2": given["z2"], "support": batch(3)["z"]})


# ------------------------------------------------------------------------------------------ proxies
def test_proxies_of_the_others_alone() -> None:
    def transcription(x: Batch) -> Tensor:
        z, proxies, rows = F.normalize(x["z"]), F.normalize(x["proxies"]), list[Tensor]()
        for row, label in zip(z, x["labels"].tolist(), strict=True):
            d = (row - proxies).square().sum(1)
            rest = [k for k in range(len(proxies)) if k != label]
            rows.append(d[label] + torch.logsumexp(-d[rest], 0))
        return mean(rows)

    given = batch(4)
    assert_same("proxy_nca", transcription, {"z": given["z"], "labels": given["labels"], "proxies": given["z1"][:3]})


def test_prototypes_without_a_bound() -> None:
    def transcription(x: Batch) -> Tensor:
        rows = list[Tensor]()
        for row, label in zip(x["dist"], x["labels"].tolist(), strict=True):
            own = x["owner"] == label
            rows.append(row[own].min() - row[~own].min())
        return mean(rows)

    random = torch.Generator().manual_seed(0)
    given = {
        "dist": torch.rand(5, 6, generator=random, dtype=torch.float64),
        "labels": torch.tensor([0, 1, 2, 1, 0]),
        "owner": torch.tensor([0, 0, 1, 1, 2, 2]),
    }
    assert_same("protopnet_cluster + protopnet_separation", transcription, given)


def test_infonce_of_one_negative_is_a_softplus() -> None:
    """What is written in the docs of many: with one negative the loss is log(1 + exp(negative - positive))."""

    def transcription(x: Batch) -> Tensor:
        gap = ((x["z1"] * x["negatives"][0]).sum(1) - (x["z1"] * x["z2"]).sum(1)) / log(2)
        return F.softplus(gap).mean()

    given = batch(5)
    text = "infonce(tau=0.6931471805599453, negatives=negatives, similarity=dot)"
    assert_same(text, transcription, {"z1": given["z1"], "z2": given["z2"], "negatives": given["z"][:1]})


def test_entropic_transport_at_its_end() -> None:
    """The divergence of a converged loop, differentiated through; with many steps the plan's own gradient is that."""
    random = torch.Generator().manual_seed(4)
    given = {n: torch.randn(k, 2, generator=random, dtype=torch.float64) for n, k in (("x", 5), ("y", 7))}

    def cost(x: Tensor, y: Tensor, eps: float = 1.0) -> Tensor:
        between = (x[:, None] - y[None]).square().sum(-1) / 2
        f, g = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(y), dtype=x.dtype)
        for _ in range(150):
            g = -eps * (((f[:, None] - between) / eps).logsumexp(0) - log(len(x)))
            f = -eps * (((g[None] - between) / eps).logsumexp(1) - log(len(y)))
        return f.mean() + g.mean()

    def divergence(b: Batch) -> Tensor:
        return cost(b["x"], b["y"]) - cost(b["x"], b["x"]) / 2 - cost(b["y"], b["y"]) / 2

    found = {k: v.clone().requires_grad_() for k, v in given.items()}
    wanted = {k: v.clone().requires_grad_() for k, v in given.items()}
    total = losslang.compile("sinkhorn(eps=1, steps=150)", backend="eager")(found).total
    torch.testing.assert_close(total, divergence(wanted), rtol=1e-7, atol=1e-10)
    total.backward()
    divergence(wanted).backward()
    for name in given:
        torch.testing.assert_close(found[name].grad, wanted[name].grad, rtol=1e-6, atol=1e-9)
