"""A small convolutional encoder with three heads: an image, class logits and an embedding."""

import torch
from torch import Tensor, nn


def down(channels: int, out: int) -> nn.Sequential:
    """Halve the resolution: [N, channels, H, W] to [N, out, H/2, W/2]."""
    convolution = nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


def up(channels: int, out: int) -> nn.Sequential:
    """Double the resolution: [N, channels, H, W] to [N, out, 2H, 2W]."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(channels, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


class DigitsNet(nn.Module):
    """Images [N, 1, S, S] in -1..1, S a multiple of 8; all three heads read one code [N, D]."""

    def __init__(self, size: int, classes: int = 10, code: int = 128, embedding: int = 32) -> None:
        super().__init__()
        side = size // 8
        self.encoder = nn.Sequential(
            down(1, 32),
            down(32, 64),
            down(64, 128),
            nn.Flatten(),
            nn.Linear(128 * side * side, code),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, 64 * side * side),
            nn.ReLU(),
            nn.Unflatten(1, (64, side, side)),
            up(64, 32),
            up(32, 24),
            up(24, 12),
            nn.Conv2d(12, 1, 3, padding=1),
            nn.Tanh(),
        )
        self.classifier = nn.Linear(code, classes)
        self.projector = nn.Sequential(nn.Linear(code, code), nn.ReLU(), nn.Linear(code, embedding))

    def forward(self, view1: Tensor, view2: Tensor) -> dict[str, Tensor]:
        """Two views of the same N images; the image and the logits are those of the first view."""
        code1, code2 = self.encoder(torch.cat([view1, view2])).chunk(2)
        return {
            "recon": rgb(self.decoder(code1)),
            "logits": self.classifier(code1),
            "z1": self.projector(code1),
            "z2": self.projector(code2),
        }

    def classify(self, images: Tensor) -> Tensor:
        """Class logits [N, C] of images [N, 1, S, S]."""
        return self.classifier(self.encoder(images))


def rgb(images: Tensor) -> Tensor:
    """Grey to colour, as the feature network expects it: [N, 1, S, S] to [N, 3, S, S]."""
    return images.expand(-1, 3, -1, -1)
