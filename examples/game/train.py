"""A generator learns to put points on a circle, against a discriminator; game.loss says what each of them wants."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import losslang

GAME = Path(__file__).with_name("game.loss")
NOISE = 4


def network(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, outputs))


def circle(count: int) -> Tensor:
    """Points at distance 1 from the origin, give or take a little."""
    angle = 2 * torch.pi * torch.rand(count)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(count, 2)


def error(generator: nn.Module) -> float:
    """How far generated points are from the circle, on average."""
    with torch.no_grad():
        return float((generator(torch.randn(1000, NOISE)).norm(dim=1) - 1).abs().mean())


def train(steps: int, batch: int) -> tuple[float, float]:
    """Both players in turn; the generator's error before and after."""
    G, D = network(NOISE, 2), nn.Sequential(network(2, 1), nn.Flatten(0))
    discriminator = losslang.compile(GAME, name="discriminator", backend="eager")
    generator = losslang.compile(GAME, name="generator", backend="eager")
    optimisers = {player: torch.optim.Adam(player.parameters(), lr=3e-3, betas=(0.0, 0.9)) for player in (G, D)}
    before = error(G)
    for step in range(steps):
        told = discriminator(G=G, D=D, noise=torch.randn(batch, NOISE), points=circle(batch))
        fooled = generator(G=G, D=D, noise=torch.randn(batch, NOISE))
        for player, out in ((D, told), (G, fooled)):
            optimisers[player].zero_grad()
            out.backward()
        for optimiser in optimisers.values():
            optimiser.step()
        if step % 100 == 0 or step == steps - 1:
            terms = {name: float(term.value) for out in (told, fooled) for name, term in out.terms.items()}
            shown = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
            print(f"step {step:4d}  {shown}  error {error(G):.3f}")
    return before, error(G)


def main() -> int:
    """Train, and say whether the points are on the circle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    before, after = train(options.steps, options.batch)
    print(f"distance from the circle: {before:.3f} before, {after:.3f} after")
    return 0 if after < before / 4 else 1


if __name__ == "__main__":
    sys.exit(main())
