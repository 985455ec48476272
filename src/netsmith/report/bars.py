"""Horizontal bars made of boxes: before and after on one scale, and a whole split into parts."""

from __future__ import annotations

from collections.abc import Sequence

from netsmith.report.markup import Markup, tag


def pair(before: float | None, after: float | None, full: float) -> Markup:
    """Return one bar: what was there before as its track, what is left as its filling; red if that grew."""
    lengths = [f"--{name}:{share(value, full)}" for name, value in (("was", before), ("now", after)) if value]
    grew = before is not None and after is not None and after > before
    return tag("i", class_="bar more" if grew else "bar", style=";".join(lengths) or None)


def share(value: float, full: float) -> str:
    """Return a length as a CSS percentage of ``full``, never beyond it."""
    return f"{100 * min(1.0, max(0.0, value / full)) if full > 0 else 0:.3g}%"


def stack(parts: Sequence[tuple[str, float, str]], full: float) -> Markup:
    """Return a whole as a row of parts (name, value, tip), coloured by position; names where they fit."""
    last = max(1, len(parts) - 1)
    boxes = [
        tag(
            "i",
            name if value > 0.09 * full else "",
            style=f"width:{share(value, full)};--at:{k / last:.2g}",
            data_tip=tip,
        )
        for k, (name, value, tip) in enumerate(parts)
        if value > 0
    ]
    return tag("div", *boxes, class_="stack")
