"""Learning-rate schedules: ``progress -> factor``, with progress the share of the run that is done."""

from __future__ import annotations

import math
from collections.abc import Callable

from netsmith.errors import UnknownNameError

Schedule = Callable[[float], float]


def cosine(progress: float, *, warmup: float = 0.05, start: float = 0.01) -> float:
    """Return a short linear warm-up followed by half a cosine down to 0.

    ``start + (1 - start) p / warmup`` for ``p < warmup``, then half of
    ``1 + cos(pi (p - warmup) / (1 - warmup))`` (Loshchilov & Hutter 2017, arXiv:1608.03983, one cycle).

    Args:
        progress: share of the run that is done, 0 to 1.
        warmup: share of the run that the warm-up takes, below 1.
        start: factor of the very first step.

    >>> [round(cosine(p), 3) for p in (0.0, 0.05, 0.525, 1.0)]
    [0.01, 1.0, 0.5, 0.0]
    """
    if progress < warmup:
        return start + (1 - start) * progress / warmup
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def constant(progress: float) -> float:
    """Return 1, whatever the progress."""
    return 1.0


def step_decay(progress: float, *, milestones: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1) -> float:
    """Return 1, times ``factor`` for each milestone that is passed.

    Args:
        progress: share of the run that is done, 0 to 1.
        milestones: shares of the run, so that the schedule fits a run of any length.
        factor: of one decay.

    >>> [round(step_decay(p), 3) for p in (0.0, 0.49, 0.5, 1.0)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return math.prod((factor for milestone in milestones if progress >= milestone), start=1.0)


NAMED: dict[str, Schedule] = {"cosine": cosine, "constant": constant}


def resolve(schedule: str | Schedule | None) -> tuple[str, Schedule]:
    """Return a schedule's name and function; ``None`` is constant.

    Raises:
        UnknownNameError: a string that names no schedule.
    """
    if schedule is None:
        return "constant", constant
    if callable(schedule):
        return getattr(schedule, "__name__", type(schedule).__name__), schedule
    if schedule not in NAMED:
        raise UnknownNameError("schedule", schedule, NAMED)
    return schedule, NAMED[schedule]
