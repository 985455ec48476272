"""The structure graph: groups of coupled channels, what they own, and the operators that use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netsmith.contracts import Keep
from netsmith.errors import EditError, UnknownNameError
from netsmith.graph.axes import NOBODY, Dim, Elements, Leaf
from netsmith.graph.operation import Operation
from netsmith.graph.sizes import Requirement
from netsmith.graph.solve import Solution, stack

Role = Literal["out", "in", "along"]
NEVER_USED = "never used in the forward pass"


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


class StructureGraph:
    """What a trace found: ``groups`` that can shrink, ``frozen`` dimensions with the reason, ``operations``.

    It holds no tensor of the model, only shapes and indices, so it stays valid for any model of the same
    architecture and can be asked what a cut would cost before a weight is loaded.
    """

    def __init__(
        self,
        leaves: Mapping[Leaf, Dim],
        operations: list[Operation],
        solution: Solution,
        roles: Mapping[Leaf, Role],
        used: set[str],
        itemsize: Mapping[str, int],
        parameters: set[str],
        requirements: list[Requirement],
    ) -> None:
        self.requirements = requirements
        self.operations = operations
        self.parameters = frozenset(parameters)
        self.itemsize = dict(itemsize)
        self._leaves = dict(leaves)
        self._solution = solution
        self._roles = roles
        self._used = used
        self._resolved: dict[tuple[int, ...], tuple[Elements, tuple[Elements, ...]]] = {}
        self.groups = self._group()
        self._by_name = {group.name: group for group in self.groups}
        members = np.full(self._channel_count, False)
        for group in self.groups:
            members[group.channels] = True
        self._grouped = members

    def group(self, name: str) -> Group:
        """Return a group by name.

        Raises:
            UnknownNameError: no group has this name.
        """
        if name not in self._by_name:
            raise UnknownNameError("group", name, self._by_name)
        return self._by_name[name]

    @cached_property
    def frozen(self) -> dict[tuple[str, int], str]:
        """Why each parameter or buffer dimension that no group owns any of stays as it is."""
        owned = {(s.tensor, s.dim) for group in self.groups for s in group.slices}
        return {
            (leaf.tensor, leaf.dim): NEVER_USED
            if leaf.tensor not in self._used
            else self._solution.reason(dim)
            for leaf, dim in self._leaves.items()
            if (leaf.tensor, leaf.dim) not in owned and dim.size > 1
        }

    def full(self) -> dict[str, Tensor]:
        """Return the keep that removes nothing."""
        return {group.name: torch.ones(group.size, dtype=torch.bool) for group in self.groups}

    def survivors(self, keep: Keep | None) -> NDArray[np.bool_]:
        """Return, per channel number, whether it stays; the last entry stands for "nobody" and stays.

        Raises:
            EditError: ``keep`` names an unknown group, has the wrong shape, or would remove a whole group.
        """
        alive = np.ones(self._channel_count + 1, dtype=bool)
        for name, mask in (keep or {}).items():
            group = self.group(name)
            if tuple(mask.shape) != (group.size,):
                raise EditError(f"keep[{name!r}] has shape {tuple(mask.shape)}, expected ({group.size},)")
            if not bool(mask.any()):
                raise EditError(f"keep[{name!r}] removes all {group.size} channels; at least one must stay")
            alive[group.channels] = mask.detach().cpu().numpy().astype(bool)
        return alive

    def kept(self, dim: Dim, alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which indices of a dimension stay."""
        if not dim.owners:
            return np.ones(dim.size, dtype=bool)
        return np.asarray(alive[self._owners(dim)].all(axis=1), dtype=bool)

    def width(self, dim: Dim, alive: NDArray[np.bool_]) -> int:
        """Return how many indices of a dimension stay."""
        return int(self.kept(dim, alive).sum()) if dim.owners else dim.size

    def widths(self, operation: Operation, keep: Keep | None = None) -> dict[str, int]:
        """Return an operation's channel counts (``in``, ``out``, and a convolution's ``groups``)."""
        alive = self.survivors(keep)
        return {name: self.width(dim, alive) for name, dim in operation.widths.items()}

    def shapes(self, alive: NDArray[np.bool_]) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter and buffer after a cut."""
        shapes: dict[str, list[int]] = {name: [] for name in self.itemsize}
        for leaf, dim in self._leaves.items():
            shapes[leaf.tensor].append(self.width(dim, alive))
        return {name: tuple(shape) for name, shape in shapes.items()}

    def cuts(self, alive: NDArray[np.bool_]) -> dict[str, dict[int, NDArray[np.int64]]]:
        """Return, per tensor and dimension that loses something, the indices that stay."""
        found: dict[str, dict[int, NDArray[np.int64]]] = {}
        for leaf, dim in self._leaves.items():
            kept = self.kept(dim, alive)
            if not kept.all():
                found.setdefault(leaf.tensor, {})[leaf.dim] = np.flatnonzero(kept)
        return found

    def _owners(self, dim: Dim) -> Elements:
        key = tuple(id(array) for array in dim.owners)
        found = self._resolved.get(key)
        if found is None:
            rows = self._solution.channels(dim)
            # Owners of an unused parameter or of a lone channel are in no group; they always stay anyway.
            found = (self._numbers[rows], dim.owners)
            self._resolved[key] = found
        return found[0]

    def _group(self) -> list[Group]:
        """Number the channels and put those that own the same slices side by side."""
        leaves = [leaf for leaf, dim in self._leaves.items() if dim.owners and leaf.tensor in self._used]
        channel, leaf, index = self._owner_table(leaves)
        roots, number = np.unique(channel, return_inverse=True)
        self._channel_count = len(roots)
        self._numbers = np.full(self._solution.count + 1, len(roots), dtype=np.int64)
        self._numbers[roots] = np.arange(len(roots))
        if not len(roots):
            return []
        group = _by_signature(number, leaf, self._solution.origins(roots), len(leaves))
        rank, order = _order_channels(group, number, leaf, index)
        sort = np.lexsort((index, rank[number], leaf, group[number]))
        number, leaf, index = number[sort], leaf[sort], index[sort]
        owner = group[number]
        edges = np.flatnonzero((np.diff(owner) != 0) | (np.diff(leaf) != 0)) + 1
        slices: dict[int, list[Slice]] = {}
        for start, stop in pairwise([0, *edges.tolist(), len(leaf)]):
            size = len(order[owner[start]])
            tensor, dim = leaves[leaf[start]]
            positions = torch.from_numpy(index[start:stop].reshape(size, -1))
            role = self._roles.get(leaves[leaf[start]], "along")
            slices.setdefault(int(owner[start]), []).append(Slice(tensor, dim, positions, role))
        return _named(
            [
                Group(_name(slices[g]), len(members), tuple(slices[g]), members)
                for g, members in enumerate(order)
                if len(members) > 1
            ]
        )

    def _owner_table(self, leaves: list[Leaf]) -> tuple[Elements, Elements, Elements]:
        """Return one row (channel, number of the leaf, index along it) per owner of a leaf's index."""
        if not leaves:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, empty
        sizes = [self._leaves[leaf].size for leaf in leaves]
        owners = self._solution.resolve(np.concatenate([stack(self._leaves[leaf]) for leaf in leaves]))
        at, column = np.nonzero(owners != NOBODY)
        leaf_of = np.repeat(np.arange(len(leaves)), sizes)
        start = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
        return owners[at, column], leaf_of[at], at - start[at]

    def __repr__(self) -> str:
        channels = sum(group.size for group in self.groups)
        counts = f"{len(self.groups)} groups, {channels} channels, {len(self.operations)} operations"
        return f"StructureGraph({counts})"


def _by_signature(number: Elements, leaf: Elements, origins: Elements, leaves: int) -> Elements:
    """Return the group number of each channel: one origin, equally many indices of the same leaves.

    The origin tells the factors of one dimension apart: heads and head width own the same leaves. Groups are
    numbered in the order in which their first leaf, then their first index, comes.
    """
    hashes = _mixed(leaves)
    signature = origins.astype(np.uint64)
    np.add.at(signature, number, hashes[leaf])
    _, first, group = np.unique(signature, return_index=True, return_inverse=True)
    earliest = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(earliest, group[number], leaf * (1 << 32) + np.arange(len(leaf)))
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
    group: Elements, number: Elements, leaf: Elements, index: Elements
) -> tuple[Elements, list[Elements]]:
    """Order the channels of each group by where they first stand; return ranks and members per group."""
    first_leaf = np.full(int(group.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_leaf, group[number], leaf)
    here = leaf == first_leaf[group[number]]
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
