"""Interpolation on a grid of channel counts, for times that grow in steps of a kernel's block."""

from __future__ import annotations

STEP = 1.15
"""A cell holds a jump when its far end costs this many times more than in proportion to its width."""


def cell(width: int, step: int, least: int, full: int) -> tuple[int, int]:
    """Return the grid points around a width, within ``least`` and ``full``; on a point, it twice."""
    low = width // step * step
    if width in (low, full):
        return width, width
    return max(low, min(least, width)), min(low + step, full)


def jumps(times: list[list[float]], rows: tuple[int, int], columns: tuple[int, int]) -> bool:
    """Tell whether, along any side of a cell, time grows out of proportion to the width."""
    down = [(times[0][side], times[1][side], rows) for side in (0, 1)]
    across = [(row[0], row[1], columns) for row in times]
    return any(high / low > STEP * ends[1] / ends[0] for low, high, ends in [*down, *across])


def between(low: float, high: float, width: int, ends: tuple[int, int]) -> float:
    """Interpolate linearly between the ends of a cell."""
    if ends[0] == ends[1]:
        return low
    return low + (high - low) * (width - ends[0]) / (ends[1] - ends[0])
