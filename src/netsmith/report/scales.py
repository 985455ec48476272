"""Axes of a chart: a range of round numbers and its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

TINY = 1e-30


@dataclass(frozen=True)
class Scale:
    """A linear axis; positions are percentages of the plot, so that a chart can be any width."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value lies, 0 at ``low`` and 100 at ``high``."""
        return 100 * (value - self.low) / (self.high - self.low)


def scale(
    values: Iterable[float], *, zero: bool = False, ceiling: float | None = None, ticks: int = 4
) -> Scale:
    """Return an axis of about ``ticks`` round steps that holds all the values.

    Arguments:
        zero: start at zero.
        ceiling: a power of ten that values below it do not stretch the axis beyond (1 for an accuracy).

    >>> scale([0.612, 0.934], ceiling=1.0).ticks
    (0.6, 0.7, 0.8, 0.9, 1.0)
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    top = ceiling if ceiling is not None and high <= ceiling else math.inf
    low = min(0.0, low) if zero else low
    if high - low <= max(1e-12 * max(abs(low), abs(high)), TINY):
        # One value has no range of its own; it gets some room, on its own side of zero.
        room = max(0.05 * abs(high), TINY) if abs(high) > TINY else 0.5
        low, high = (max(0.0, low - room) if low >= 0 else low - room), min(high + room, top)
    step = _round_step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    marks = tuple(float(f"{k * step:.12g}") for k in range(first, last + 1))
    return Scale(marks[0], marks[-1], marks)


def _round_step(rough: float) -> float:
    """Return the nearest of 1, 2, 5 times a power of ten that is not much below ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.7)
