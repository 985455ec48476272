"""Groups: channels that own alike, put side by side with everything they own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from operator import itemgetter
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netsmith.graph.axes import Elements, Leaf

Role = Literal["out", "in", "along"]


@dataclass(frozen=True, eq=False)
class Slice:
    """What a group owns of one dimension of one parameter or buffer.

    ``index`` has shape ``[size, m]``: the m positions along ``dim`` that go with each channel. ``role`` is
    ``out`` where the tensor makes the channel, ``in`` where it sums over it, ``along`` where it follows it.
    """

    tensor: str
    dim: int
    index: Tensor
    role: Role


@dataclass(frozen=True, eq=False)
class Group:
    """Channels side by side, each of which can go on its own with everything it owns."""

    name: str
    size: int
    slices: tuple[Slice, ...]
    channels: Elements

    def __repr__(self) -> str:
        owned = ", ".join(f"{s.tensor}:{s.dim}" for s in self.slices[:4])
        more = f", and {len(self.slices) - 4} more" if len(self.slices) > 4 else ""
        return f"Group({self.name!r}, size={self.size}, owns {owned}{more})"


def make_groups(
    group: Elements,
    number: Elements,
    kind: Elements,
    index: Elements,
    alike: list[list[int]],
    leaves: list[Leaf],
    roles: Mapping[Leaf, Role],
) -> list[Group]:
    """Return the groups of two channels or more.

    ``group`` is the group number per channel; ``number``, ``kind`` and ``index`` say, row by row, which
    channel owns which index of which leaves: those with the numbers ``alike[kind]``.
    """
    rank, order = _order_channels(group, number, kind, index)
    sort = _sorted(group[number], kind, rank[number], index)
    number, kind, index = number[sort], kind[sort], index[sort]
    owner = group[number]
    edges = np.flatnonzero((np.diff(owner) != 0) | (np.diff(kind) != 0)) + 1
    owned: dict[int, list[tuple[int, Slice]]] = {}
    for start, stop in pairwise([0, *edges.tolist(), len(kind)]):
        positions = torch.from_numpy(index[start:stop].reshape(len(order[owner[start]]), -1))
        owned.setdefault(int(owner[start]), []).extend(
            (leaf, Slice(*leaves[leaf], positions, roles.get(leaves[leaf], "along")))
            for leaf in alike[kind[start]]
        )
    slices = {which: [item for _, item in sorted(items, key=itemgetter(0))] for which, items in owned.items()}
    return _named(
        [
            Group(_name(slices[g]), len(members), tuple(slices[g]), members)
            for g, members in enumerate(order)
            if len(members) > 1
        ]
    )


def _sorted(*keys: Elements) -> Elements:
    """Return the order by several keys of counts, the first one first; most rows are in it already."""
    sizes = [int(key.max()) + 1 for key in keys]
    if prod(sizes) >= 1 << 62:
        return np.lexsort(keys[::-1])
    joined = keys[0]
    for key, size in zip(keys[1:], sizes[1:], strict=True):
        joined = joined * size + key
    return np.argsort(joined, kind="stable")


def by_signature(
    number: Elements, kind: Elements, origins: Elements, alike: list[list[int]], parts: Sequence[Elements]
) -> Elements:
    """Return the group number of each channel: one origin, equally many indices of the same leaves.

    The origin tells the factors of one dimension apart: heads and head width own the same leaves. ``parts``
    are channels of which one must always stay; they are in groups of their own. Groups are numbered in the
    order in which their first leaf, then their first index, comes.
    """
    leaves = sum(map(len, alike))
    hashes = _mixed(leaves + len(parts))
    signature = origins.astype(np.uint64)
    np.add.at(signature, number, np.array([hashes[numbers].sum() for numbers in alike])[kind])
    for mixed, members in zip(hashes[leaves:], parts, strict=True):
        signature[members] += mixed
    _, first, group = np.unique(signature, return_index=True, return_inverse=True)
    earliest = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(earliest, group[number], np.arange(len(kind)))
    position = np.empty(len(first), dtype=np.int64)
    position[np.argsort(earliest, kind="stable")] = np.arange(len(first))
    return np.asarray(position[group], dtype=np.int64)


def _mixed(count: int) -> NDArray[np.uint64]:
    """Return well-mixed 64-bit numbers (SplitMix64: Steele, Lea, Flood 2014), the same ones every time."""
    x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _order_channels(
    group: Elements, number: Elements, kind: Elements, index: Elements
) -> tuple[Elements, list[Elements]]:
    """Order the channels of each group by where they first stand; return ranks and members per group."""
    first_leaf = np.full(int(group.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_leaf, group[number], kind)
    here = kind == first_leaf[group[number]]
    first_index = np.full(len(group), np.iinfo(np.int64).max)
    np.minimum.at(first_index, number[here], index[here])
    sort = np.lexsort((first_index, group))
    order = np.split(sort, np.flatnonzero(np.diff(group[sort])) + 1)
    rank = np.empty(len(group), dtype=np.int64)
    rank[sort] = np.concatenate([np.arange(len(members)) for members in order])
    return rank, order


def _name(slices: list[Slice]) -> str:
    """Name a group by the first tensor that makes its channels."""
    producer = next((item for item in slices if item.role == "out"), slices[0])
    return f"{producer.tensor}:{producer.dim}"


def _named(groups: Iterable[Group]) -> list[Group]:
    """Make names unique: a tensor that makes several groups numbers them."""
    seen: dict[str, int] = {}
    named = []
    for group in groups:
        seen[group.name] = seen.get(group.name, 0) + 1
        again = seen[group.name]
        name = group.name if again == 1 else f"{group.name}#{again}"
        named.append(Group(name, group.size, group.slices, group.channels))
    return named
