"""Which groups were cut hardest, and what that alone cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netsmith.report.bars import pair
from netsmith.report.markup import Markup, join, table, tag
from netsmith.report.units import MISSING, number, points


def sensitivity(result: Mapping[str, Any]) -> Markup:
    """Return a row for each group that lost channels, or nothing when none is known."""
    found = result.get("sensitivity")
    if not isinstance(found, Mapping) or not found.get("groups"):
        return Markup("")
    groups = found["groups"]
    whole = number(found["accuracy"])
    rows = [
        [
            tag("code", group["group"]),
            join([pair(group["size"], group["kept"], group["size"]), f"{group['kept']} of {group['size']}"]),
            _points(whole, number(group["accuracy"])),
        ]
        for group in groups
    ]
    note = (
        f"The network before the cut, on {found['samples']} held-out examples, with only this group cut and "
        "nothing trained: where accuracy falls most, more channels are worth most."
    )
    return join(
        [
            tag("h3", "Which groups were cut hardest, and what each cut alone costs"),
            table(["Group of coupled channels", "Channels left", "Accuracy, points"], rows, "sensitivity"),
            tag("p", note, class_="note"),
        ]
    )


def _points(whole: float | None, alone: float | None) -> str:
    return MISSING if whole is None or alone is None else points(alone - whole)
