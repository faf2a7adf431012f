"""Many terms on one tensor: losslang against eager PyTorch and against torch.compile of the hand-written sum.

    python -m benchmarks.fusion [--threads 1] [--rounds 20]

(a) six image terms on 8x3x256x256; (b) five softmax-family terms on [4096, 1000]; forward and backward.
The hand-written sums are what a careful user writes with torch.nn.functional.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

import losslang
from benchmarks.harness import Step, agree, race, report, where

IMAGE = "l1 + charbonnier + huber + mse + log_cosh + 0.00001*tv"
CLASSES = "ce + focal(gamma=2) + poly1 + ce(smoothing=0.1) as smoothed + squentropy"


def image_by_hand(pred: Tensor, target: Tensor) -> Tensor:
    """The six image terms."""
    d = pred - target
    log_cosh = (d + F.softplus(-2 * d) - math.log(2)).mean()
    tv = (pred[..., 1:, :] - pred[..., :-1, :]).abs().sum((1, 2, 3)) + (pred[..., :, 1:] - pred[..., :, :-1]).abs().sum(
        (1, 2, 3)
    )
    return (
        F.l1_loss(pred, target)
        + torch.sqrt(d * d + 1e-6).mean()
        + F.huber_loss(pred, target)
        + F.mse_loss(pred, target)
        + log_cosh
        + 0.00001 * tv.mean()
    )


def classes_by_hand(logits: Tensor, labels: Tensor) -> Tensor:
    """The five class terms."""
    ce = F.cross_entropy(logits, labels)
    logp = F.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    focal = (-((1 - logp.exp()) ** 2) * logp).mean()
    p = F.softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    poly1 = (F.cross_entropy(logits, labels, reduction="none") + 1 - p).mean()
    smoothed = F.cross_entropy(logits, labels, label_smoothing=0.1)
    right = logits.gather(1, labels[:, None])[:, 0]
    squares = (logits.square().sum(1) - right.square()) / (logits.shape[1] - 1)
    squentropy = F.cross_entropy(logits, labels) + squares.mean()
    return ce + focal + poly1 + smoothed + squentropy


def step(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Step:
    """Forward and backward of a loss by its first input."""

    def run() -> tuple[Tensor, list[Tensor]]:
        x.grad = None
        total = loss(x, y)
        total.backward()
        assert x.grad is not None
        return total.detach(), [x.grad]

    return run


def case(
    title: str, text: str, names: tuple[str, str], hand: Callable[..., Tensor], x: Tensor, y: Tensor, rounds: int
) -> None:
    """One race."""
    ours = losslang.compile(text)
    contestants = {
        "eager": step(hand, x, y),
        "torch.compile": step(torch.compile(hand, fullgraph=True), x, y),
        "losslang": step(lambda a, b: ours({names[0]: a, names[1]: b}).total, x, y),
    }
    agree(contestants, rtol=1e-4)
    report(f"{title}\n  {text}", race(contestants, rounds), ("eager", "torch.compile"))


def main() -> None:
    """Both races."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(where())
    pred = torch.rand(8, 3, 256, 256).requires_grad_()
    case(
        "(a) image terms, 8x3x256x256",
        IMAGE,
        ("pred", "target"),
        image_by_hand,
        pred,
        torch.rand(8, 3, 256, 256),
        options.rounds,
    )
    logits = torch.randn(4096, 1000).requires_grad_()
    case(
        "(b) class terms, [4096, 1000]",
        CLASSES,
        ("logits", "labels"),
        classes_by_hand,
        logits,
        torch.randint(0, 1000, (4096,)),
        options.rounds,
    )


if __name__ == "__main__":
    main()
