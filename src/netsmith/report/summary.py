"""The top of the report: what was asked and what came out, in one sentence and in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netsmith.report.bars import pair
from netsmith.report.limits import Limit, limits
from netsmith.report.markup import Markup, join, section, table, tag
from netsmith.report.quantities import ACCURACY, COSTS, LATENCY, MACS, SHOWN, Quantity
from netsmith.report.units import MISSING, number, percent, points, ratio, times


def headline(result: Mapping[str, Any]) -> str:
    """Return one sentence: what was asked, what came out, at what accuracy, how much faster."""
    costs = [_cost(limit, result) for limit in limits(result)] or [_without_budget(result)]
    parts = [*costs, _accuracy(result), _speed(result)]
    sentence = ", ".join(part for part in parts if part)
    return sentence[:1].upper() + sentence[1:] if sentence else "Nothing was measured"


def _cost(limit: Limit, result: Mapping[str, Any]) -> str:
    before, after = limit.quantity.of(result.get("before")), limit.quantity.of(result.get("after"))
    name = limit.quantity.in_sentence
    if after is None:
        return f"{name} not measured (budget {limit.asked})"
    return f"{name} {_verb(before, after)} {limit.reached} (budget {limit.asked})"


def _without_budget(result: Mapping[str, Any]) -> str:
    before, after = MACS.of(result.get("before")), MACS.of(result.get("after"))
    share = ratio(before, after)
    return "" if share is None or after is None else f"MACs {_verb(before, after)} {percent(share)}"


def _verb(before: float | None, after: float) -> str:
    if before is None:
        return "at"
    return "cut to" if after < before else "left at" if after == before else "up to"


def _accuracy(result: Mapping[str, Any]) -> str:
    before, after = ACCURACY.of(result.get("before")), ACCURACY.of(result.get("after"))
    if after is None:
        return ""
    return (
        f"accuracy {percent(after)}" if before is None else f"accuracy {percent(before)} → {percent(after)}"
    )


def speed(result: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return where it was timed ("batch 1") and how many times faster the result is, or None."""
    batches = (result.get("latency") or {}).get("batches") or {}
    for batch, measured in sorted(batches.items(), key=lambda item: number(_int(item[0])) or 0):
        share = ratio(measured.get("before"), measured.get("after"))
        if share:
            return f"batch {batch}", 1 / share
    share = ratio(LATENCY.of(result.get("before")), LATENCY.of(result.get("after")))
    return ("inference", 1 / share) if share else None


def _int(text: object) -> int | None:
    return int(text) if isinstance(text, int | str) and str(text).isdecimal() else None


def _speed(result: Mapping[str, Any]) -> str:
    timed = speed(result)
    if timed is None:
        return ""
    place, factor = timed
    # Differences of a few percent are within what two timings of one network show.
    if abs(factor - 1) < 0.03:
        return f"no faster at {place}"
    return f"{times(factor)} faster at {place}" if factor > 1 else f"{times(1 / factor)} slower at {place}"


def verdicts(result: Mapping[str, Any]) -> Markup:
    """Return a badge for each part of the budget: kept, missed or not measured."""
    badges = []
    for limit in limits(result):
        name = limit.quantity.in_sentence
        if limit.holds is None:
            badges.append(tag("span", f"Not judged: {name}, {limit.asked} asked", class_="badge"))
        elif limit.holds:
            badges.append(
                tag("span", f"Budget holds: {name} {limit.reached} of {limit.asked}", class_="badge good")
            )
        else:
            badges.append(
                tag("span", f"Budget missed: {name} {limit.reached}, {limit.asked} asked", class_="badge bad")
            )
    return tag("p", *badges, class_="badges") if badges else Markup("")


def tiles(result: Mapping[str, Any]) -> Markup:
    """Return the four numbers to remember: accuracy, MACs, size, speed."""
    before, after = result.get("before"), result.get("after")
    shown = []
    first, last = ACCURACY.of(before), ACCURACY.of(after)
    if last is not None:
        shown.append(
            _tile("Accuracy", percent(last), f"{points(last - first)} points" if first is not None else "")
        )
    for quantity in COSTS[:3]:
        old, new = quantity.of(before), quantity.of(after)
        share = ratio(old, new)
        if share is not None and len(shown) < 3:
            note = f"{quantity.written(new)} of {quantity.written(old)}"
            shown.append(_tile(quantity.label, percent(share), note))
    timed = speed(result)
    if timed is not None:
        place, factor = timed
        shown.append(
            _tile("Speed", times(factor), f"measured at {place}" if place != "inference" else "measured")
        )
    return tag("div", *shown, class_="tiles") if shown else Markup("")


def _tile(label: str, value: str, note: str) -> Markup:
    return tag("div", tag("span", label), tag("strong", value), tag("small", note), class_="tile")


def comparison_table(result: Mapping[str, Any]) -> Markup:
    """Return the section with every quantity before and after, its ratio, and what was asked."""
    before, after = result.get("before"), result.get("after")
    asked = {limit.quantity.key: limit for limit in limits(result)}
    rows = []
    for quantity in (ACCURACY, *SHOWN):
        first, last = quantity.of(before), quantity.of(after)
        if first is None and last is None:
            continue
        numbers = [quantity.written(first), tag("b", quantity.written(last))]
        rows.append(
            [quantity.label, *numbers, *_change(quantity, first, last), _asked(asked.get(quantity.key))]
        )
    if not rows:
        return Markup("")
    head = ["", "Before", "After", "Change", "What is left", "Budget"]
    return section("Before and after", table(head, rows, "numbers"))


def _change(quantity: Quantity, before: float | None, after: float | None) -> list[object]:
    if before is None or after is None:
        return [MISSING, ""]
    if quantity is ACCURACY:
        return [f"{points(after - before)} points", ""]
    share = ratio(before, after)
    if not share:
        return [MISSING, ""]
    change = f"{times(1 / share)} less" if share < 1 else "the same" if share == 1 else f"{times(share)} more"
    return [change, join([pair(1.0, share, max(1.0, share)), percent(share)])]


def _asked(limit: Limit | None) -> object:
    if limit is None:
        return ""
    mark = {True: ("good", " ✓"), False: ("bad", " ✗"), None: ("", "")}[limit.holds]
    words = {True: "kept", False: "missed", None: "not judged"}[limit.holds]
    return tag("span", f"{limit.asked}{mark[1]}", class_=mark[0] or None, title=words)


def warnings(result: Mapping[str, Any]) -> Markup:
    """Return the warnings of the run, each in a box of its own."""
    boxes = [tag("li", text) for text in result.get("warnings") or ()]
    return tag("ul", *boxes, class_="warnings", aria_label="Warnings") if boxes else Markup("")
