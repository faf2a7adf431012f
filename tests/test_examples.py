"""Every example runs, as its own README says, and leaves what it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import losslang
from losslang import cli
from losslang.sema.modules import environment
from losslang.source import Source
from losslang.syntax import parser
from losslang.testing import laws

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits" / "train.py"
GAME = ROOT / "examples" / "game"
LOSSES = sorted((ROOT / "examples" / "losses").glob("*.loss"))


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """One run of the digits example."""
    command = [sys.executable, str(DIGITS), "--backend", "eager", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def test_digits_trains_and_leaves_its_files(tmp_path: Path) -> None:
    done = run("--epochs", "1", "--target-accuracy", "0.2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("lpips", "focal", "infonce", "total", "test", "random, seeded feature network"):
        assert word in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.pt",
        "curves.png",
        "objective.json",
        "objective.py",
    }
    assert json.loads((tmp_path / "objective.json").read_text())["terms"] == ["lpips", "focal", "infonce"]


def test_digits_says_when_it_misses_its_target(tmp_path: Path) -> None:
    line = "focal(gamma=2) + infonce(tau=0.1)"
    done = run("--epochs", "1", "--target-accuracy", "1.1", "--out", str(tmp_path), "--objective", line)
    assert done.returncode == 1
    assert "WARNING: test accuracy" in done.stdout


@pytest.mark.parametrize("line", ["focla(gamma=2)", "focal(gamma=-1)"])
def test_digits_shows_a_mistake_and_no_traceback(line: str) -> None:
    done = run("--objective", line)
    assert done.returncode == 2
    assert "error[LL0" in done.stdout
    assert "Traceback" not in done.stderr


def test_two_players_come_nearer_to_the_circle() -> None:
    command = [sys.executable, str(GAME / "train.py"), "--steps", "400", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fool" in done.stdout and "tell" in done.stdout and "smooth" in done.stdout


def test_each_player_learns_from_its_own_objective() -> None:
    """A step of one moves all of its parameters, and leaves the other as it is."""
    torch.manual_seed(0)
    players = {
        "G": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)),
        "D": nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)),
    }
    batch = {"noise": torch.randn(6, 4), "points": torch.randn(5, 2)}
    for name, own, other, takes in (
        ("generator", "G", "D", ["noise"]),
        ("discriminator", "D", "G", ["noise", "points"]),
    ):
        objective = losslang.compile(GAME / "game.loss", name=name, backend="eager")
        before = {key: [p.detach().clone() for p in net.parameters()] for key, net in players.items()}
        optimisers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in players.values()]
        for optimiser in optimisers:
            optimiser.zero_grad()
        first = objective(**players, **{key: batch[key] for key in takes})
        first.backward()
        for optimiser in optimisers:
            optimiser.step()
        moved = {key: torch.stack([*map(torch.dist, net.parameters(), before[key])]) for key, net in players.items()}
        assert moved[own].min() > 0 and moved[other].max() == 0
        again = objective(**players, **{key: batch[key] for key in takes})
        assert again.total < first.total


def test_the_readme_of_the_game_shows_its_file() -> None:
    shown = (GAME / "README.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert shown in (GAME / "game.loss").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_a_file_of_losses_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fmt", "--check", str(path)]) == 0
    assert cli.main(["run", str(path), "--backend", "eager"]) == 0
    assert "gradient norms" in capsys.readouterr().out


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_a_file_of_losses_keeps_its_word(path: Path) -> None:
    names = environment(parser.parse_module(Source(path.name, path.read_text(encoding="utf-8"))))
    report = laws.run(environment=names)
    assert report.passed, str(report)
