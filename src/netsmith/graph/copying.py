"""Which indices a dimension consists of when channels become several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netsmith.graph.axes import Elements


def copied(rows: Elements, counts: NDArray[np.int64]) -> tuple[Elements, Elements]:
    """Return the indices of a dimension in which each channel is there ``counts`` times.

    Indices beside each other that one channel owns are copied together, as a block after the block: of a
    dimension that is heads × width, a copied head is a copied run of ``width`` indices, and a copied
    channel of the width comes right after itself in every head.

    Args:
        rows: the channels that own each index, ``[size, owners]``; the last channel stands for nobody.
        counts: how many of each channel there will be.

    Returns:
        The old index of each new one, ``[new size]``; and which copy of its owners each is,
        ``[new size, owners]``.
    """
    several = counts[rows]
    index = np.repeat(np.arange(len(rows)), several.prod(axis=1))
    rest = np.arange(len(index)) - np.searchsorted(index, index)
    numbers = np.empty((len(index), rows.shape[1]), dtype=np.int64)
    for column in range(rows.shape[1]):
        numbers[:, column] = rest % several[index, column]
        rest //= several[index, column]
    starts, lengths = _runs(rows, nobody=len(counts) - 1)
    # Block by block from the longest run to the shortest, and within a block copy by copy.
    outward = np.argsort(-lengths, axis=1, kind="stable")[index]
    entries = np.arange(len(index))
    keys: list[Elements] = []
    for column in outward.T:
        keys += [starts[index, column], numbers[entries, column]]
    order = np.lexsort((index, *reversed(keys)))
    return index[order], numbers[order]


def _runs(rows: Elements, nobody: int) -> tuple[Elements, Elements]:
    """Return, per index and owner, where the run of the owner's indices begins and how long it is."""
    starts = np.repeat(np.arange(len(rows))[:, None], rows.shape[1], axis=1)
    lengths = np.zeros_like(starts)
    at, column = np.nonzero(rows != nobody)
    if not len(at):
        return starts, lengths
    channel = rows[at, column]
    sort = np.lexsort((at, channel))
    at, column, channel = at[sort], column[sort], channel[sort]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(at) != 1) | (np.diff(channel) != 0)]))
    long = np.diff(np.concatenate([first, [len(at)]]))
    starts[at, column], lengths[at, column] = np.repeat(at[first], long), np.repeat(long, long)
    return starts, lengths
