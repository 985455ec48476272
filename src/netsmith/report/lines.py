"""A line chart: an SVG that stretches to any width; its words are HTML beside it, so they stay readable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netsmith.report.markup import Markup, escape, join, tag
from netsmith.report.scales import Scale, scale
from netsmith.report.units import brief


@dataclass(frozen=True)
class Line:
    """One chart over the steps of a run; ``values`` may hold None where nothing was measured."""

    title: str
    values: Sequence[float | None]
    written: Callable[[Any], str]
    zero: bool = False
    ceiling: float | None = None
    limit: float | None = None
    """A level to mark, such as the budget."""
    limit_name: str = ""


@dataclass(frozen=True)
class Stage:
    """A named stretch of steps, from ``first`` to before ``end``."""

    name: str
    first: int
    end: int


def line_chart(line: Line, stages: Sequence[Stage] = (), *, names: bool = False) -> Markup:
    """Return the chart; stages are bands behind it, ``names`` writes what they are above."""
    known = [value for value in line.values if value is not None]
    extra = [] if line.limit is None else [line.limit]
    axis = scale([*known, *extra], zero=line.zero, ceiling=line.ceiling, ticks=3)
    steps = len(line.values)
    drawing = join([*_bands(stages, steps), *_grid(axis), *_level(line, axis), *_curve(line.values, axis)])
    svg = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(_summary(line, known))}">{drawing}</svg>'
    )
    words = [
        tag("span", brief(line.written(mark)), class_="y", style=f"bottom:{axis.at(mark):.2f}%")
        for mark in axis.ticks
    ]
    if line.limit is not None:
        words.append(tag("span", line.limit_name, class_="level", style=f"bottom:{axis.at(line.limit):.2f}%"))
    tips = "\n".join(line.written(value) for value in line.values)
    plot = tag("div", Markup(svg), *words, class_="plot", data_values=tips)
    above = _names(stages, steps) if names else Markup("")
    return tag("figure", tag("figcaption", line.title), above, plot, class_="chart")


def center(step: int, steps: int) -> float:
    """Return where a step lies across the plot, in percent: each has an equal share of the width."""
    return 100 * (step + 0.5) / steps


def _bands(stages: Sequence[Stage], steps: int) -> list[Markup]:
    bands = []
    for k, stage in enumerate(stages):
        left, width = 100 * stage.first / steps, 100 * (stage.end - stage.first) / steps
        shape = f'x="{left:.2f}" width="{width:.2f}" y="0" height="100"'
        bands.append(Markup(f'<rect class="band{k % 2}" {shape}/>'))
    return bands


def _grid(axis: Scale) -> list[Markup]:
    return [Markup(f'<path class="grid" d="M0 {100 - axis.at(mark):.2f}H100"/>') for mark in axis.ticks]


def _level(line: Line, axis: Scale) -> list[Markup]:
    return (
        []
        if line.limit is None
        else [Markup(f'<path class="limit" d="M0 {100 - axis.at(line.limit):.2f}H100"/>')]
    )


def _curve(values: Sequence[float | None], axis: Scale) -> list[Markup]:
    """Return the line, broken where a value is missing, and its last point."""
    path, drawn = [], False
    for step, value in enumerate(values):
        if value is not None:
            path.append(f"{'L' if drawn else 'M'}{center(step, len(values)):.2f} {100 - axis.at(value):.2f}")
        drawn = value is not None
    if not path:
        return []
    # A dot is a line of no length with a round end: unlike a circle it stays round when the chart stretches.
    return [
        Markup(f'<path class="curve" d="{"".join(path)}"/>'),
        Markup(f'<path class="dot" d="M{path[-1][1:]}h0"/>'),
    ]


def _names(stages: Sequence[Stage], steps: int) -> Markup:
    spans = [
        tag("span", stage.name, style=f"width:{100 * (stage.end - stage.first) / steps:.2f}%")
        for stage in stages
    ]
    return tag("div", *spans, class_="stages", aria_hidden="true")


def _summary(line: Line, known: Sequence[float]) -> str:
    if not known:
        return f"{line.title}: nothing measured"
    first, last, low, high = (line.written(x) for x in (known[0], known[-1], min(known), max(known)))
    return f"{line.title}: {first} at first, {last} at the end, between {low} and {high}"
