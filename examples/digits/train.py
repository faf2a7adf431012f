"""Train a small network on handwritten digits with three losses that one line of digits.yaml describes.

python examples/digits/train.py [--epochs N] [--backend eager|inductor] [--out DIR] [--seed N]
"""

import argparse
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import yaml
from rich.console import Console
from torch import Tensor

import data
import losslang
import report
from history import History
from losslang import compiler
from model import DigitsNet, rgb
from progress import Progress, say

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of digits.yaml."""

    objective: str
    bind: dict[str, str]
    size: int
    batch_size: int
    epochs: int
    learning_rate: float
    objective_rate: float
    seed: int
    target_accuracy: float


def main(argv: list[str] | None = None) -> int:
    """Run the demo: 0 if the test accuracy reaches the target, 1 if not, 2 if the objective is wrong."""
    options = arguments(argv)
    config = configure(options)
    console = Console()
    torch.manual_seed(config.seed)
    try:
        inputs = {node.name for node in losslang.check(config.objective).inputs}
        bind = {name: key for name, key in config.bind.items() if name in inputs}
        objective = losslang.compile(config.objective, backend=options.backend, bind=bind)
    except losslang.LosslangError as error:
        say(console, [str(error)])
        return 2
    train, test = data.load(config.size)
    say(console, opening(config, objective, train, test))
    model = DigitsNet(config.size)
    history = fit(model, objective, train, test, config, console)
    save(model, objective, history, config, options.out)
    say(console, report.closing(history, config.objective, options.out))
    return verdict(history.accuracy[-1], config.target_accuracy)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line; what is left out comes from digits.yaml."""
    parser = argparse.ArgumentParser(description="Train on handwritten digits with a one-line objective.")
    parser.add_argument("--config", type=Path, default=HERE / "digits.yaml")
    parser.add_argument("--objective", help="another line than the one in digits.yaml")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--target-accuracy", type=float, help="below this, the exit code is 1")
    parser.add_argument("--backend", choices=["eager", "inductor"], default="inductor")
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    return parser.parse_args(argv)


def configure(options: argparse.Namespace) -> Config:
    """digits.yaml, overridden by what the command line names."""
    config = Config(**yaml.safe_load(options.config.read_text(encoding="utf-8")))
    given = {name: getattr(options, name) for name in ("objective", "epochs", "seed", "target_accuracy")}
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def opening(config: Config, objective: losslang.Objective, train: data.Split, test: data.Split) -> list[str]:
    """What is trained on what; says so when the perceptual features are not pretrained."""
    sizes = f"{len(train)} training and {len(test)} test scans of handwritten digits"
    lines = [
        f"objective  {config.objective}",
        f"inputs     {objective.signature}",
        f"data       {sizes}, 8x8 upsampled to {config.size}x{config.size}",
    ]
    if "random(" in config.objective:
        lines.append("note       random, seeded feature network: no pretrained weights ship with this demo")
    return lines


def fit(
    model: DigitsNet,
    objective: losslang.Objective,
    train: data.Split,
    test: data.Split,
    config: Config,
    console: Console,
) -> History:
    """The training loop; numbers are only kept here, and fetched where they are shown."""
    generator = torch.Generator().manual_seed(config.seed)
    history = History(steps_per_epoch=len(train) // config.batch_size, learned=[objective.learned()])
    optimizer, schedule = optimization(model, objective, config, history.steps_per_epoch)
    started = time.perf_counter()
    with Progress(console, history, config.epochs) as progress:
        for _ in range(config.epochs):
            for batch in data.batches(train, config.batch_size, generator):
                out = objective(forward(model, batch, generator))
                optimizer.zero_grad(set_to_none=True)
                out.total.backward()
                optimizer.step()
                schedule.step()
                history.record(out.total, out.terms)
                history.first_step = history.first_step or time.perf_counter() - started
                progress.step()
            history.accuracy.append(accuracy(model, test))
            history.learned.append(objective.learned())
            progress.epoch()
    history.seconds = time.perf_counter() - started
    return history


def optimization(
    model: DigitsNet, objective: losslang.Objective, config: Config, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW over the network and what the objective learns, each with its own peak rate, in one cycle."""
    learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    groups = [{"params": list(model.parameters())}]
    rates = [config.learning_rate]
    if learned:
        groups.append({"params": learned, "weight_decay": 0.0})
        rates.append(config.objective_rate)
    optimizer = torch.optim.AdamW(groups)
    steps = config.epochs * steps_per_epoch
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)


def forward(model: DigitsNet, batch: data.Split, generator: torch.Generator) -> dict[str, Tensor]:
    """Two views of a batch through the network; the image to restore is the first view before its noise."""
    view1, view2 = data.warp(batch.images, generator), data.warp(batch.images, generator)
    outputs = model(data.corrupt(view1, generator), data.corrupt(view2, generator))
    return {**outputs, "image": rgb(view1), "digit": batch.digits}


@torch.no_grad()
def accuracy(model: DigitsNet, test: data.Split) -> float:
    """The fraction of test images, as they are, whose digit is found."""
    model.eval()
    found = model.classify(test.images).argmax(dim=1) == test.digits
    model.train()
    return found.float().mean().item()


def save(model: DigitsNet, objective: losslang.Objective, history: History, config: Config, out: Path) -> None:
    """Write the checkpoint, the curves and the compiled objective."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "config": asdict(config),
        "model": model.state_dict(),
        "objective": objective.state_dict(),
        "accuracy": history.accuracy[-1],
    }
    torch.save(checkpoint, out / "checkpoint.pt")
    report.draw(history, config.objective, config.target_accuracy, out / "curves.png")
    compiler.export(objective, out)


def verdict(reached: float, target: float) -> int:
    """Say whether the target was reached; the exit code."""
    if reached < target:
        print(f"WARNING: test accuracy {reached:.1%} is below the target of {target:.0%}")
        return 1
    print(f"Test accuracy {reached:.1%}, target {target:.0%}: reached.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
