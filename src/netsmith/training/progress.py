"""What a person sees while a network trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from netsmith.clock import Clock

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Record = dict[str, float | int | None]


HIDDEN = ("epoch", "learning_rate", "seconds")


def describe(record: Mapping[str, float | int | None]) -> str:
    """Return an epoch's losses, metric and watched values in one line; the absent ones are left out.

    >>> describe({"epoch": 3, "loss": 0.25, "penalty": None, "metric": 0.98125, "seconds": 2.0, "macs": 0.3})
    'loss 0.25  metric 0.9812  macs 0.3'
    """
    shown = (item for item in record.items() if item[0] not in HIDDEN and item[1] is not None)
    return "  ".join(f"{name} {value:.4g}" for name, value in shown)


class Progress:
    """A live bar when stderr is a terminal, else one plain line per epoch; nothing when switched off.

    Args:
        enabled: False shows nothing.
        clock: where the run stands when it starts.
    """

    def __init__(self, enabled: bool, clock: Clock) -> None:
        self._enabled, self._clock = enabled, clock
        self._bar: Bar | None = None
        self._last = ""
        self._began = 0.0

    def __enter__(self) -> Progress:
        self._began = time.perf_counter()
        if self._enabled and sys.stderr.isatty() and self._clock.progress < 1:
            total = self._clock.epochs * self._clock.steps_per_epoch
            self._bar = _live_bar()
            self._bar.start()
            self._bar.add_task("training", total=total, completed=self._clock.step, values="")
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, epoch: int, loss: float) -> None:
        """Show that one more step of an epoch (from 0) is done, its mean loss so far and the last metric."""
        if self._bar is not None:
            values = f"loss {loss:.4g}  {self._last}"
            title = f"epoch {epoch + 1}/{self._clock.epochs}"
            self._bar.update(self._bar.task_ids[0], advance=1, description=title, values=values)

    def epoch(self, record: Record) -> None:
        """Show what an epoch came to."""
        self._last = describe({k: v for k, v in record.items() if k not in ("loss", "penalty")})
        if self._enabled and self._bar is None:
            done, epochs = int(record["epoch"] or 0), self._clock.epochs
            pace = (time.perf_counter() - self._began) / (done - self._clock.epoch)
            left = timedelta(seconds=round(pace * (epochs - done)))
            print(f"epoch {done}/{epochs}  {describe(record)}  {left} left", file=sys.stderr, flush=True)


def _live_bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=12),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[values]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    return Bar(*columns, console=Console(stderr=True), expand=True)
