"""The structure layer by layer: widths before and after, and where the cost went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from netsmith.report.bars import pair, stack
from netsmith.report.markup import Markup, join, section, table, tag
from netsmith.report.units import MISSING, count, number, percent, ratio

MOST_LAYERS = 120
"""Networks with more layers are listed by their most expensive ones, so that the page stays light."""
MOST_REASONS = 40
MOST_BOXES = 100


def structure(result: Mapping[str, Any]) -> Markup:
    """Return the section, or nothing when no layers are known."""
    layers = [layer for layer in result.get("layers") or () if _counts(layer)]
    wide = [layer for layer in layers if layer.get("width_before") is not None]
    changed = sum(layer.get("width_before") != layer.get("width_after") for layer in wide)
    lead = f"{changed} of {len(wide)} layers changed their width." if wide else None
    children = [where_macs_went(layers), layer_table(layers), removed(result), other_edits(result)]
    children.append(frozen(result))
    return section("Structure, layer by layer", *children, lead=lead)


def _counts(layer: Mapping[str, Any]) -> bool:
    """Whether a layer has a width or MACs; a normalisation only follows the layer before it."""
    return layer.get("width_before") is not None or bool(number(layer.get("macs_before")))


def where_macs_went(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Return two bars on one scale: what each layer cost before, and what is left of it."""
    before, after = (
        [number(layer.get(key)) or 0.0 for layer in layers] for key in ("macs_before", "macs_after")
    )
    full = max(sum(before), sum(after))
    if full <= 0:
        return Markup("")
    names = [str(layer.get("name") or "the model itself") for layer in layers]
    rows = []
    for label, amounts in (("Before", before), ("After", after)):
        bar = stack(_parts(names, amounts), full)
        rows.append(tag("div", tag("span", label), bar, tag("span", count(sum(amounts))), class_="whole"))
    boxes = "Each box is a layer" if len(layers) <= MOST_BOXES else "Each box is a few neighbouring layers"
    note = tag("p", f"{boxes}, from input (left) to output; its length is its MACs.", class_="note")
    return join([tag("h3", "Where the MACs went"), *rows, note])


def _parts(names: Sequence[str], amounts: Sequence[float]) -> list[tuple[str, float, str]]:
    """Return (name, MACs, tip) of each layer; of a long network, neighbours share a box."""
    together, whole = -(-len(names) // MOST_BOXES), sum(amounts) or 1.0
    parts = []
    for first in range(0, len(names), together):
        members, macs = names[first : first + together], sum(amounts[first : first + together])
        name = members[0] if len(members) == 1 else f"{members[0]} … {members[-1]}"
        parts.append((name, macs, f"{name}: {count(macs)} MACs, {percent(macs / whole)}"))
    return parts


def layer_table(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a row for each layer, its bars on the scale of the widest and the most expensive one."""
    if not layers:
        return Markup("")
    shown = list(layers)
    if len(shown) > MOST_LAYERS:
        dearest = sorted(range(len(layers)), key=lambda k: -(number(layers[k].get("macs_before")) or 0.0))
        shown = [layers[k] for k in sorted(dearest[:MOST_LAYERS])]
    full = {
        what: max(
            number(layer.get(f"{what}_{when}")) or 0.0 for layer in layers for when in ("before", "after")
        )
        for what in ("width", "macs", "params")
    }
    rows = [
        [
            tag("span", layer.get("name") or "the model itself", tag("small", layer.get("kind"))),
            _change(layer, "width", full["width"]),
            _change(layer, "macs", full["macs"]),
            _change(layer, "params", full["params"]),
        ]
        for layer in shown
    ]
    left_out = len(layers) - len(shown)
    note = tag("p", f"{left_out} cheaper layers are not listed.", class_="note") if left_out else ""
    return join([table(["Layer", "Width", "MACs", "Parameters"], rows, "layers"), note])


def _change(layer: Mapping[str, Any], what: str, full: float) -> Markup:
    before, after = number(layer.get(f"{what}_before")), number(layer.get(f"{what}_after"))
    if before is None and after is None:
        return Markup(MISSING)
    if before == after:
        return join([pair(before, after, full), tag("span", count(after), class_="quiet")])
    share = ratio(before, after)
    tip = None if share is None else f"{percent(share)} left"
    return join(
        [pair(before, after, full), tag("span", f"{count(before)} → ", tag("b", count(after)), data_tip=tip)]
    )


def removed(result: Mapping[str, Any]) -> Markup:
    """Return what the edit records removed from each group, folded away."""
    cut: dict[str, int] = defaultdict(int)
    records = [record for record in result.get("records") or () if isinstance(record, Mapping)]
    for record in (record for record in records if record.get("kind") == "remove"):
        for group, channels in (record.get("groups") or {}).items():
            cut[str(group)] += len(channels) if isinstance(channels, Sequence) else 0
    cut = {group: number_cut for group, number_cut in cut.items() if number_cut}
    if not cut:
        return Markup("")
    rows = [
        [tag("code", group), f"{amount:,}"]
        for group, amount in sorted(cut.items(), key=lambda item: -item[1])
    ]
    title = f"{sum(cut.values()):,} channels removed from {len(cut)} groups of coupled channels"
    return tag(
        "details", tag("summary", title), table(["Group", "Channels removed"], rows[:MOST_LAYERS], "numbers")
    )


def other_edits(result: Mapping[str, Any]) -> Markup:
    """Return what the edit records did beyond removing channels, one line each, folded away."""
    from netsmith.edits import describe
    from netsmith.edits.kinds import KINDS

    records = [record for record in result.get("records") or () if isinstance(record, Mapping)]
    lines = [describe(dict(record)) for record in records if record.get("kind") in KINDS.keys() - {"remove"}]
    if not lines:
        return Markup("")
    title = f"{len(lines)} edit{'s' if len(lines) != 1 else ''} beyond removing channels"
    return tag(
        "details", tag("summary", title), table(["Edit"], [[line] for line in lines[:MOST_LAYERS]], "")
    )


def frozen(result: Mapping[str, Any]) -> Markup:
    """Return the dimensions that could not be changed, by reason, folded away."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for place, reason in (result.get("frozen") or {}).items():
        reasons[str(reason)].append(str(place))
    if not reasons:
        return Markup("")
    rows: list[list[object]] = []
    for reason, places in reasons.items():
        more = f" and {len(places) - MOST_REASONS} more" if len(places) > MOST_REASONS else ""
        rows.append([reason, join([*(tag("code", place) for place in places[:MOST_REASONS]), more], " ")])
    total = sum(len(places) for places in reasons.values())
    title = f"{total} dimension{'s' if total != 1 else ''} could not be changed"
    return tag("details", tag("summary", title), table(["Why", "Tensor and dimension"], rows, "reasons"))
