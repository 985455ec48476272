"""Rewinding: what goes back to where it was before a pruned network is trained again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor, nn

from netsmith.errors import NetsmithError
from netsmith.masks import hold
from netsmith.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Round:
    """What the training of one iteration is told."""

    iteration: int
    """From 1."""
    epochs: int
    schedule: Schedule
    """``progress -> learning-rate factor``, progress being the share of these epochs that is done."""
    after_step: hold
    """To be called after every optimiser step; an ``after_step`` of :func:`netsmith.train.fit`."""


class Rewind(Protocol):
    """What is done to a network and to its schedule before it is trained again."""

    def restore(self, model: nn.Module) -> None:
        """Put values of the model back, in place; masks are applied afterwards."""

    def plan(self, epochs: int, schedule: Schedule) -> tuple[int, Schedule]:
        """Return the epochs and the schedule of the training, from those of the original one."""
        ...


@dataclass(frozen=True)
class LearningRateRewinding:
    """Values stay, the learning rate goes through its whole schedule again.

    A. Renda, J. Frankle, M. Carbin, 2020, arXiv:2003.02389.
    """

    def restore(self, model: nn.Module) -> None:
        """Leave the model as it is."""

    def plan(self, epochs: int, schedule: Schedule) -> tuple[int, Schedule]:
        """Return what is given."""
        return epochs, schedule


@dataclass(frozen=True, eq=False)
class WeightRewinding:
    """Values go back to an early state, and the schedule goes on from where that was taken.

    J. Frankle, M. Carbin, 2019, arXiv:1803.03635 (from the start); J. Frankle, G. K. Dziugaite, D. M. Roy,
    M. Carbin, 2020, arXiv:1912.05671 (from a little later).

    Args:
        state: a ``state_dict`` of the model, copied by whoever took it.
        progress: share of the schedule after which it was taken, in [0, 1).

    Raises:
        NetsmithError: ``progress`` is out of range.
    """

    state: Mapping[str, Tensor]
    progress: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.progress < 1:
            raise NetsmithError(f"progress is {self.progress}; expected a share of the schedule, below 1")

    def restore(self, model: nn.Module) -> None:
        """Load the early state."""
        model.load_state_dict(self.state)

    def plan(self, epochs: int, schedule: Schedule) -> tuple[int, Schedule]:
        """Return the part of the epochs, at least one, and of the schedule that is left."""
        return max(1, round((1 - self.progress) * epochs)), partial(_rest, schedule, self.progress)


@dataclass(frozen=True)
class FineTuning:
    """Values stay, and so does a low learning rate; nothing is rewound.

    Args:
        factor: of the learning rate; 0.01 is the end of a schedule with two decays by ten.

    Raises:
        NetsmithError: ``factor`` is not above 0.
    """

    factor: float = 0.01

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise NetsmithError(f"factor is {self.factor}; expected a factor of the learning rate, above 0")

    def restore(self, model: nn.Module) -> None:
        """Leave the model as it is."""

    def plan(self, epochs: int, schedule: Schedule) -> tuple[int, Schedule]:
        """Return the epochs, and the low rate all along."""
        return epochs, partial(_always, self.factor)


def require_rounds(epochs: int, short_epochs: int, schedule: Schedule) -> None:
    """Refuse lengths of rounds, or a schedule, that make no rounds.

    Raises:
        NetsmithError: names them.
    """
    if not 1 <= short_epochs <= epochs:
        raise NetsmithError(
            f"short_epochs is {short_epochs} and epochs {epochs}; expected 1 <= short_epochs <= epochs"
        )
    if not callable(schedule):
        raise NetsmithError(
            f"the schedule is a {type(schedule).__name__}, which cannot be compressed into fewer epochs; "
            "expected a function from the share of the training that is done to a learning-rate factor"
        )


def _rest(schedule: Schedule, done: float, progress: float) -> float:
    return schedule(done + (1 - done) * progress)


def _always(factor: float, progress: float) -> float:
    return factor
