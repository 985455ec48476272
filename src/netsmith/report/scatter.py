"""A scatter chart with error bars: one mark for each series, a front and a level to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netsmith.report.markup import Markup, escape, tag
from netsmith.report.scales import Scale, scale
from netsmith.report.units import brief

SHAPES = (
    "M5 1a4 4 0 1 0 .01 0z",
    "M1.5 1.5h7v7h-7z",
    "M5 .8 9.4 8.6H.6z",
    "M5 .4 9.6 5 5 9.6.4 5z",
    "M5 9.2.6 1.4h8.8z",
)
COLOURS = 8


@dataclass(frozen=True)
class Point:
    """One mark: the series it belongs to, where it lies, and how far it spreads upwards and downwards."""

    series: int | None
    """None for the reference, drawn as a ring."""
    x: float
    y: float
    spread: float
    tip: str


def mark(series: int | None) -> Markup:
    """Return the mark of a series: no two of the first forty share both colour and shape."""
    if series is None:
        return Markup('<svg class="mark ring" viewBox="0 0 10 10"><circle cx="5" cy="5" r="3.4"/></svg>')
    shape = SHAPES[(series + series // COLOURS) % len(SHAPES)]
    colour = f"fill:{_colour(series)}"
    return Markup(f'<svg class="mark" viewBox="0 0 10 10" style="{colour}"><path d="{shape}"/></svg>')


def scatter(
    title: str,
    points: Sequence[Point],
    *,
    x_written: Callable[[Any], str],
    y_written: Callable[[Any], str],
    front: Sequence[tuple[float, float]] = (),
    level: tuple[float, str] | None = None,
    ceiling: float | None = None,
) -> Markup:
    """Return the chart; ``front`` is drawn as a line in its order, ``level`` as a named dashed height."""
    heights = [y for point in points for y in (point.y - point.spread, point.y + point.spread)]
    across = scale([point.x for point in points], zero=True, ticks=3)
    up = scale([*heights, *([level[0]] if level else [])], ceiling=ceiling)
    lines = [f'<path class="grid" d="M0 {100 - up.at(tick):.2f}H100"/>' for tick in up.ticks]
    if level:
        lines.append(f'<path class="limit" d="M0 {100 - up.at(level[0]):.2f}H100"/>')
    if len(front) > 1:
        corners = "L".join(f"{across.at(x):.2f} {100 - up.at(y):.2f}" for x, y in front)
        lines.append(f'<path class="front" d="M{corners}"/>')
    lines += [_spread(point, across, up) for point in points if point.spread > 0]
    label = escape(f"{title}: {'; '.join(point.tip for point in points)}")
    opening = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
    svg = Markup(f"{opening}{''.join(lines)}</svg>")
    rows = [(brief(y_written(tick)), f"bottom:{up.at(tick):.2f}%") for tick in up.ticks]
    columns = [(brief(x_written(tick)), f"left:{across.at(tick):.2f}%") for tick in across.ticks]
    words = [tag("span", text, class_="y", style=place) for text, place in rows]
    words += [tag("span", text, class_="x", style=place) for text, place in columns]
    if level:
        words.append(tag("span", level[1], class_="level", style=f"bottom:{up.at(level[0]):.2f}%"))
    marks = [_placed(point, across, up) for point in points]
    plot = tag("div", svg, *words, *marks, class_="plot scatter")
    return tag("figure", tag("figcaption", title), plot, class_="chart")


def _colour(series: int | None) -> str:
    return "var(--soft)" if series is None else f"var(--c{series % COLOURS})"


def _spread(point: Point, across: Scale, up: Scale) -> str:
    top, bottom = (100 - up.at(point.y + side * point.spread) for side in (1, -1))
    line = f"M{across.at(point.x):.2f} {top:.2f}V{bottom:.2f}"
    return f'<path class="spread" style="stroke:{_colour(point.series)}" d="{line}"/>'


def _placed(point: Point, across: Scale, up: Scale) -> Markup:
    place = f"left:{across.at(point.x):.2f}%;bottom:{up.at(point.y):.2f}%"
    return tag("span", mark(point.series), class_="point", style=place, data_tip=point.tip)
