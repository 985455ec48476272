"""Which widths a machine likes: multiples of channels that a measured table shows to be cheap per channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from netsmith.cost.latency import LatencyTable
from netsmith.cost.shapes import OperationShape
from netsmith.graph import Group, StructureGraph

MULTIPLES = (1, 2, 4, 8, 16, 32)
TOLERANCE = 0.05
"""A finer multiple is taken when its time per channel is within this share of the best."""


def preferred_multiples(graph: StructureGraph, table: LatencyTable) -> dict[str, int]:
    """Return, per group, the multiple of channels its kept width should be for this machine.

    For each of 1, 2, 4, 8, 16 and 32 the operations that touch the group are measured at widths around
    half of it that are multiples of no more than that, all else at full width; the finest multiple whose
    time per channel is within 5 % of the best wins. A group keeps a choice of at least two widths, so a
    narrow one is never told to stay whole. Batch 1 is measured whatever the traced batch, which keeps
    this to seconds; the entries are kept in the table, so a second call costs nothing.

    Args:
        graph: the structure graph.
        table: a measured latency table.

    Returns:
        Group name to one of 1, 2, 4, 8, 16, 32.
    """
    return {group.name: _preferred(graph, group, table) for group in graph.groups}


def preferred_multiple(graph: StructureGraph, table: LatencyTable) -> int:
    """Return the one multiple of channels that suits most of the network: the median over channels."""
    each = preferred_multiples(graph, table)
    if not each:
        return 1
    per_channel = [each[group.name] for group in graph.groups for _ in range(group.size)]
    return sorted(per_channel)[len(per_channel) // 2]


def explain(
    before: Mapping[str, float], after: Mapping[str, float], *, tolerance: float = 0.15
) -> str | None:
    """Return one line when MACs fell but measured time did not follow, otherwise None.

    Args:
        before: cost of the whole model with ``macs`` and ``latency``, as :meth:`netsmith.cost.Cost.total`.
        after: the same after the cut.
        tolerance: by how much the share of time may exceed the share of MACs.

    >>> explain({"macs": 100.0, "latency": 1.0}, {"macs": 30.0, "latency": 0.3}) is None
    True
    >>> explain({"macs": 100.0, "latency": 1.0}, {"macs": 30.0, "latency": 0.5})
    "MACs fall to 30.0 % but time only to 50.0 %; kernels work on blocks of channels: try round_to='auto'"
    """
    macs, time = after["macs"] / before["macs"], after["latency"] / before["latency"]
    if macs >= 1 or time <= macs * (1 + tolerance):
        return None
    fell = f"only to {time:.1%}" if time < 1 else f"does not: it is {time:.1%} of what it was"
    return (
        f"MACs fall to {macs:.1%} but time {fell}; kernels work on blocks of channels: try round_to='auto'"
    ).replace("%", " %")


def _preferred(graph: StructureGraph, group: Group, table: LatencyTable) -> int:
    possible = [multiple for multiple in MULTIPLES if 2 * multiple <= group.size] or [1]
    per_channel = {multiple: _per_channel(graph, group, multiple, table) for multiple in possible}
    best = min(per_channel.values())
    return next(multiple for multiple in possible if per_channel[multiple] <= best * (1 + TOLERANCE))


def _per_channel(graph: StructureGraph, group: Group, multiple: int, table: LatencyTable) -> float:
    """Return seconds per channel over the two odd multiples around half the group."""
    below = max(1, (group.size // 2 // multiple - 1) // 2 * 2 + 1)
    widths = [count * multiple for count in (below, below + 2) if count * multiple < group.size]
    return sum(_seconds(graph, group, width, table) for width in widths) / sum(widths)


def _seconds(graph: StructureGraph, group: Group, width: int, table: LatencyTable) -> float:
    """Return the seconds of all operations the group touches when its first channels stay."""
    keep = {group.name: torch.arange(group.size) < width}
    total = 0.0
    for operation in graph.operations:
        full = OperationShape.of(operation, graph.widths(operation))
        cut = OperationShape.of(operation, graph.widths(operation, keep))
        if full is not None and cut is not None and cut != full:
            total += table.measured(replace(cut, batch=1) if cut.kind == "conv" else cut)
    return total
