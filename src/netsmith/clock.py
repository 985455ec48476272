"""Where a training run stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """The concrete :class:`netsmith.contracts.Clock`: everything follows from the steps done so far.

    >>> clock = Clock(step=150, steps_per_epoch=100, epochs=3)
    >>> clock.epoch, clock.progress
    (1, 0.5)
    """

    step: int
    """Optimiser steps done so far."""
    steps_per_epoch: int
    epochs: int
    """Epochs that the whole run takes."""

    @property
    def epoch(self) -> int:
        """Full passes over the data done so far."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1; a run of no epochs is done."""
        total = self.steps_per_epoch * self.epochs
        return self.step / total if total else 1.0
