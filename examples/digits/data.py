"""The handwritten digits that scikit-learn ships: 1,797 real scans of 8x8 pixels; augmented views of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

TEST_SHARE = 0.25
SPLIT_SEED = 0  # the test images are the same in every run, whatever the training seed


@dataclass(frozen=True, slots=True)
class Split:
    """Images [N, 1, S, S] in -1..1 and their digits [N]."""

    images: Tensor
    digits: Tensor

    def __len__(self) -> int:
        return len(self.digits)


def load(size: int) -> tuple[Split, Split]:
    """The training and the test split, stratified by digit, upsampled to `size` x `size`."""
    pixels, digits = load_digits(return_X_y=True)
    rows = range(len(digits))
    train, test = train_test_split(rows, test_size=TEST_SHARE, stratify=digits, random_state=SPLIT_SEED)
    images = upsample(torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16, size) * 2 - 1
    labels = torch.tensor(digits, dtype=torch.int64)
    return Split(images[train], labels[train]), Split(images[test], labels[test])


def upsample(images: Tensor, size: int) -> Tensor:
    """Bilinear resize: [N, 1, 8, 8] to [N, 1, S, S]."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def batches(split: Split, batch_size: int, generator: torch.Generator) -> Iterator[Split]:
    """One epoch in random order; the incomplete last batch is dropped."""
    order = torch.randperm(len(split), generator=generator)
    for rows in order[: len(split) // batch_size * batch_size].split(batch_size):
        yield Split(split.images[rows], split.digits[rows])


def warp(images: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate up to 12 degrees, scale up to 10 %, shift up to 1/12 of the width: [N, 1, S, S] to the same."""
    n = len(images)
    angle = uniform(n, math.radians(12), generator)
    scale = 1 + uniform(n, 0.1, generator)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [cos, -sin, uniform(n, 1 / 6, generator), sin, cos, uniform(n, 1 / 6, generator)]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def corrupt(images: Tensor, generator: torch.Generator, strength: float = 0.3) -> Tensor:
    """Add Gaussian noise, drawn at the scans' own 8x8 resolution so that it cannot simply be blurred away."""
    noise = torch.randn(len(images), 1, 8, 8, generator=generator)
    return images + strength * upsample(noise, images.shape[-1])


def uniform(n: int, bound: float, generator: torch.Generator) -> Tensor:
    """`n` draws from -bound..bound: [N]."""
    return (2 * torch.rand(n, generator=generator) - 1) * bound
