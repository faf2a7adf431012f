"""What a run leaves behind: the curves, and in words what they show."""

from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from torch import Tensor

from history import History, Reading

COLOURS = ["#3b6fb6", "#d9822b", "#4c9a5b", "#a2559c", "#7a6a5a", "#c44e52"]


def draw(history: History, objective: str, target: float, path: Path) -> None:
    """Write the four panels: raw terms, weights, shares, test accuracy."""
    values, weights, shares = history.columns()
    epochs = (torch.arange(len(values)) + 1) / history.steps_per_epoch
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    lines(axes[0, 0], epochs, values, history.names, history.steps_per_epoch)
    finish(axes[0, 0], "Raw value of each term", len(history.accuracy))
    lines(axes[0, 1], epochs, weights, history.names, window=1)
    finish(axes[0, 1], "Weight of each term", len(history.accuracy))
    stack(axes[1, 0], epochs, shares, history.names, history.steps_per_epoch)
    finish(axes[1, 0], "Share of each term in the weighted sum", len(history.accuracy))
    accuracy(axes[1, 1], history.accuracy, target)
    finish(axes[1, 1], "Test accuracy", len(history.accuracy))
    figure.suptitle(objective, family="monospace", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def lines(axes: Axes, epochs: Tensor, columns: Tensor, names: list[str], window: int) -> None:
    """A line per term, logarithmic where all is positive: the mean of `window` steps, the steps behind it."""
    for k, (name, colour) in enumerate(zip(names, cycle(COLOURS), strict=False)):
        if window > 1:
            axes.plot(epochs, columns[:, k], color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(epochs, smooth(columns[:, k], window), color=colour, linewidth=2, label=name)
    if bool((columns > 0).all()):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.legend(frameon=False)


def stack(axes: Axes, epochs: Tensor, shares: Tensor, names: list[str], window: int) -> None:
    """The averaged shares on top of each other, or as lines where one is negative."""
    if bool((shares >= 0).all()):
        columns = [smooth(shares[:, k], window) for k in range(len(names))]
        axes.stackplot(epochs, *columns, labels=names, colors=COLOURS, alpha=0.85)
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right", framealpha=0.9)
    else:
        lines(axes, epochs, shares, names, window)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def accuracy(axes: Axes, measured: list[float], target: float) -> None:
    """Test accuracy after each epoch, with the bar to clear."""
    axes.plot(range(1, len(measured) + 1), measured, color="#333333", linewidth=2, marker="o", markersize=3)
    axes.axhline(target, color="#c44e52", linestyle="--", linewidth=1, label=f"target {target:.0%}")
    place = (len(measured), measured[-1])
    axes.annotate(f"{measured[-1]:.1%}", place, (0, 6), textcoords="offset points", ha="right")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylim(max(0.0, min(*measured, target) - 0.05), 1.06)
    axes.legend(frameon=False, loc="lower right")


def finish(axes: Axes, title: str, epochs: int) -> None:
    """The looks that all panels share."""
    axes.set_title(title, fontsize=11, loc="left", fontweight="bold")
    axes.set_xlabel("epoch")
    axes.set_xlim(0, 1.02 * epochs)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def smooth(column: Tensor, window: int) -> Tensor:
    """Mean over the last `window` steps, over fewer at the start: [steps] to [steps]."""
    sums = torch.cat([torch.zeros(1), column.cumsum(0)])
    ends = torch.arange(1, len(column) + 1)
    starts = (ends - window).clamp(min=0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def closing(history: History, objective: str, out: Path) -> list[str]:
    """What a reader should notice, in this run's own numbers."""
    first, last = history.at(0), history.last_epoch()
    return [
        "",
        "What to notice, first step -> last epoch:",
        f"  The objective was one line: {objective}",
        *term_lines(first, last),
        f"  Shares of the weighted sum: {shares_of(first)} -> {shares_of(last)}.",
        *learned_lines(history.learned[0], history.learned[-1]),
        *total_lines(last.total),
        time_line(history),
        f"  Written to {out}/: curves.png, checkpoint.pt and the compiled objective, {artifact(out)}.",
    ]


def term_lines(first: Reading, last: Reading) -> list[str]:
    """How each term's raw value and weight moved."""
    width = max(map(len, last.terms))
    return [
        f"  {name:{width}}  value {a.value:.4f} -> {b.value:.4f}   "
        f"weight {a.weight:.3f} -> {b.weight:.3f}, {change(a.weight, b.weight)}"
        for (name, a), b in zip(first.terms.items(), last.terms.values(), strict=True)
    ]


def shares_of(reading: Reading) -> str:
    """Who rules the weighted sum."""
    return ", ".join(f"{name} {term.share:.0%}" for name, term in reading.terms.items())


def learned_lines(first: dict[str, float], last: dict[str, float]) -> list[str]:
    """What the objective itself learned, such as a temperature."""
    rows = [f"    {name} {first[name]:.4g} -> {value:.4g}" for name, value in last.items()]
    return ["  The optimizer also learned what the objective leaves open:", *rows] if rows else []


def total_lines(total: float) -> list[str]:
    """Say why a total below zero is no mistake, where one was seen."""
    if total >= 0:
        return []
    return [f"  The total ended at {total:.3f}: it holds learned log-variances and may be negative."]


def time_line(history: History) -> str:
    """Where the seconds went."""
    rest = (history.seconds - history.first_step) / max(1, len(history.rows) - 1)
    start = f"{history.first_step:.1f} s until the first step was done (compilation included)"
    return f"  Time: {start}, then {1000 * rest:.0f} ms per step; {history.seconds:.0f} s in all."


def artifact(out: Path) -> str:
    """The files of the compiled objective and how long they are."""
    files = (out / "objective.py", out / "objective.json")
    return ", ".join(f"{path.name} ({len(path.read_text().splitlines())} lines)" for path in files)


def change(first: float, last: float) -> str:
    """The way from one number to another, in words."""
    if first <= 0 or last <= 0:
        return f"changed by {last - first:+.3f}"
    if max(first, last) < 1.05 * min(first, last):
        return "about the same"
    return f"up {last / first:.1f}x" if last > first else f"down {first / last:.1f}x"
