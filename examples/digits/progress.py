"""What is seen while training: a live table on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from history import History, Reading

LINES = 10  # about how many lines a run prints where there is no terminal
EVERY = 5  # steps between two looks at the numbers on a terminal


def say(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: no markup, no colours, no wrapping."""
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


class Progress:
    """Use as a context manager; call `step` after each step and `epoch` after each epoch."""

    def __init__(self, console: Console, history: History, epochs: int) -> None:
        self.console, self.history, self.epochs = console, history, epochs
        self.started = time.perf_counter()
        waiting = Text("first step: compiling the objective ...")
        self.live = Live(waiting, console=console, refresh_per_second=8)

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def step(self) -> None:
        """Refresh the live table every few steps; only then are numbers fetched."""
        steps = len(self.history.rows)
        if self.console.is_terminal and (steps == 1 or steps % EVERY == 0):
            self.live.update(self.panel())

    def epoch(self) -> None:
        """Refresh the live table; without a terminal, print a line for every tenth of the run."""
        done = len(self.history.accuracy)
        if self.console.is_terminal:
            self.live.update(self.panel())
        elif done in (1, self.epochs) or done % max(1, self.epochs // LINES) == 0:
            say(self.console, [self.line(self.history.at(-1))])

    def line(self, now: Reading) -> str:
        """The latest step as text."""
        terms = [f"{name} {t.value:.4f} x{t.weight:.2f} ({t.share:.0%})" for name, t in now.terms.items()]
        return "  ".join([self.place(), f"total {now.total:+.3f}", *terms, f"test {self.accuracy()}"])

    def panel(self) -> Group:
        """Progress bar, headline and one row per term."""
        now, whole = self.history.at(-1), self.epochs * self.history.steps_per_epoch
        bar = Table.grid()  # a bar alone would not end its line
        bar.add_row(ProgressBar(total=whole, completed=len(self.history.rows), width=68))
        headline = f"{self.place()}   total {now.total:+.4f}   test accuracy {self.accuracy()}"
        return Group(bar, Text(headline), terms_table(now))

    def place(self) -> str:
        """Where in the run we are: epoch, step, seconds."""
        steps = len(self.history.rows)
        epoch = (steps - 1) // self.history.steps_per_epoch + 1
        seconds = time.perf_counter() - self.started
        return f"epoch {epoch:2d}/{self.epochs}  step {steps:3d}  {seconds:5.1f} s"

    def accuracy(self) -> str:
        """The latest test accuracy, if there is one."""
        return f"{self.history.accuracy[-1]:.1%}" if self.history.accuracy else "-"


def terms_table(now: Reading) -> Table:
    """One row per term: raw value, weight, share."""
    table = Table(box=None, pad_edge=False)
    table.add_column("term", style="bold")
    for heading in ("value", "weight", "share"):
        table.add_column(heading, justify="right", width=10)
    table.add_column("", width=24)
    for name, term in now.terms.items():
        bar = ProgressBar(total=1.0, completed=min(max(term.share, 0.0), 1.0), width=24)
        table.add_row(name, f"{term.value:.5f}", f"{term.weight:.3f}", f"{term.share:.1%}", bar)
    return table
