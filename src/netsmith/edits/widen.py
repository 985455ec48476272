"""Widening: fresh channels that nobody reads yet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, nn

from netsmith.contracts import Inputs
from netsmith.edits.gathering import invert_record
from netsmith.edits.growing import apply_record, grow_channels
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import collection_paused


@collection_paused()
def widen(
    model: nn.Module,
    graph: StructureGraph,
    sizes: Mapping[str, int],
    *,
    generator: Generator | None = None,
    inputs: Inputs | None = None,
    inplace: bool = False,
) -> tuple[nn.Module, list[Record]]:
    """Add fresh channels to groups; what reads them is zero, so that the output is what it was.

    The weights that make a fresh channel (tensors of two dimensions or more) are drawn from a normal
    distribution with mean zero and the standard deviation of the tensor they join; what else it needs
    (biases, normalisation) is copied from a channel chosen at random, beside which it stands. Its readers
    have a gradient from the first step on, its makers from the second, and no two channels are alike. For
    copies of what has been learnt instead, see :func:`netsmith.edits.split`.

    Args:
        model: the model the graph was traced from (or one of the same architecture).
        graph: its structure graph.
        sizes: per group how many channels it is to have.
        generator: randomness; a record holds the seed drawn from it, so that a replay gives the same model.
        inputs: what the model is called with: its output is then compared before and after.
        inplace: edit ``model`` itself; its parameters stay the same objects.

    Returns:
        The wider model, of the same class, and the records of what was done.

    Raises:
        EditError: a size below the present one; or an operator that sees further channels even when their
            readers are zero (statistics across channels, a tied parameter): names the place.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> ns.edits.widen(net, ns.trace(net, torch.zeros(1, 8)), {"0.weight:0": 10})[0][2]
        Linear(in_features=10, out_features=4, bias=True)
    """
    copies, shares = {}, {}
    for name, size in sizes.items():
        group = graph.group(name)
        if isinstance(size, bool) or not isinstance(size, int) or size < group.size:
            raise EditError(f"group {name} has {group.size} channels and cannot be widened to {size!r}")
        if size == group.size:
            continue
        beside = torch.randint(group.size, (size - group.size,), generator=generator)
        copies[name] = 1 + torch.bincount(beside, minlength=group.size)
        for channel, count in zip(group.channels.tolist(), copies[name].tolist(), strict=True):
            shares[channel] = [1.0] + [0.0] * (count - 1)
    extra: Record = {
        "kind": "widen",
        "groups": {name: int(counts.sum()) for name, counts in copies.items()},
        "seed": int(torch.randint(2**62, (), generator=generator)),
    }
    return grow_channels(model, graph, copies, shares, extra, alike=False, inputs=inputs, inplace=inplace)


def describe_record(record: Record) -> str:
    """Return one line: how many channels which groups have now."""
    parts = [f"{name} to {size} channels" for name, size in record["groups"].items()]
    return f"widen {', '.join(parts) or 'nothing'}"


KIND = Kind(apply_record, invert_record, describe_record)
