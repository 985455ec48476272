"""Splitting channels: one becomes several, and the network computes what it did."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.edits.gathering import invert_record
from netsmith.edits.growing import Shares, apply_record, grow_channels
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import collection_paused

Channels = Mapping[int, int] | Iterable[int]
"""How many of each channel there will be; or the channels to double, one more copy per mention."""


@collection_paused()
def split(
    model: nn.Module,
    graph: StructureGraph,
    channels: Mapping[str, Channels],
    *,
    offsets: Mapping[str, Tensor] | None = None,
    shares: Mapping[str, Mapping[int, Sequence[float]]] | None = None,
    inputs: Inputs | None = None,
    inplace: bool = False,
) -> tuple[nn.Module, list[Record]]:
    r"""Make several channels of one (Chen et al. 2016, arXiv:1511.05641; Liu et al. 2019, arXiv:1910.02366).

    What makes a channel is copied, what reads it is copied and multiplied with output shares that sum to one:
    :math:`a\,\sigma(w x) = \sum_k s_k a\,\sigma(w x)`. Without offsets the output is what it was, in every
    structure: convolutions, normalisations per channel, hidden units, heads, feed-forward and graph features,
    groups. Copies stand right after the channel.

    Args:
        model: the model the graph was traced from (or one of the same architecture).
        graph: its structure graph.
        channels: per group ``{channel: how many there will be}``, or the channels to double.
        offsets: per name of a tensor that makes channels, ``[copies, *its present shape]``: entry k is added
            to the k-th copy, and to no channel that stays single.
        shares: per group and channel the output share of each copy; default equal ones.
        inputs: what the model is called with: its output is then compared before and after.
        inplace: edit ``model`` itself; its parameters stay the same objects.

    Returns:
        The wider model, of the same class, and the records of what was done.

    Raises:
        EditError: a channel, offset or share that does not fit; or an operator that sees how many copies
            there are (a layer norm over channels not all copied alike, a tied parameter that also makes the
            channels, a product of two computed tensors behind something not linear); names the place. With
            ``inputs``: an output that differs, as any does with offsets.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> graph = ns.trace(net, torch.zeros(1, 8))
        >>> ns.edits.split(net, graph, {"0.weight:0": {2: 3}})[0][0]
        Linear(in_features=8, out_features=8, bias=True)
    """
    copies = {name: _copies(graph, name, wanted) for name, wanted in channels.items()}
    copies = {name: counts for name, counts in copies.items() if int(counts.max()) > 1}
    extra: Record = {
        "kind": "split",
        "groups": {
            name: {str(channel): int(counts[channel]) for channel in (counts > 1).nonzero()[:, 0].tolist()}
            for name, counts in copies.items()
        },
    }
    given = _checked_shares(graph, copies, shares or {})
    return grow_channels(
        model, graph, copies, given, extra, alike=True, offsets=offsets, inputs=inputs, inplace=inplace
    )


def _copies(graph: StructureGraph, name: str, wanted: Channels) -> Tensor:
    size = graph.group(name).size
    more = Counter({c: n - 1 for c, n in wanted.items()}) if isinstance(wanted, Mapping) else Counter(wanted)
    counts = torch.ones(size, dtype=torch.int64)
    for channel, extra in more.items():
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < size:
            raise EditError(f"group {name} has no channel {channel!r}; it has 0 to {size - 1}")
        if not isinstance(extra, int) or extra < 0:
            raise EditError(f"channel {channel} of {name} cannot become {extra + 1} channels; give 1 or more")
        counts[channel] += extra
    return counts


def _checked_shares(
    graph: StructureGraph, copies: Mapping[str, Tensor], shares: Mapping[str, Mapping[int, Sequence[float]]]
) -> Shares:
    checked: dict[int, Sequence[float]] = {}
    for name, by_channel in shares.items():
        group = graph.group(name)
        for channel, given in by_channel.items():
            count = int(copies[name][channel]) if name in copies and 0 <= channel < group.size else 0
            if count < 2 or len(given) != count:
                raise EditError(
                    f"shares of channel {channel} of {name}: {len(given)} given for {count} copies; give one "
                    "for each copy of a channel that is split"
                )
            if not math.isclose(math.fsum(given), 1.0, abs_tol=1e-6):
                raise EditError(
                    f"shares of channel {channel} of {name} sum to {math.fsum(given):.6g}; they must sum to 1"
                )
            checked[int(group.channels[channel])] = [float(share) for share in given]
    return checked


def describe_record(record: Record) -> str:
    """Return one line: how many channels were split in which groups, and how many there are now."""
    parts = [
        f"{len(channels)} channels of {name} into {sum(channels.values())}"
        for name, channels in record["groups"].items()
    ]
    return f"split {', '.join(parts) or 'nothing'}"


KIND = Kind(apply_record, invert_record, describe_record)
