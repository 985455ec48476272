"""The structure graph: groups of coupled channels, what they own, and the operators that use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
from netsmith.graph.solve import Solution

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
        rows = [self._solution.channels(self._leaves[leaf]) for leaf in leaves]
        table = _owner_table(rows)
        roots, number = np.unique(table[0], return_inverse=True)
        self._channel_count = len(roots)
        self._numbers = np.full(self._solution.count + 1, len(roots), dtype=np.int64)
        self._numbers[roots] = np.arange(len(roots))
        if not len(roots):
            return []
        groups = []
        for members in _by_signature(number, table[1], self._solution.origins(roots), len(leaves)):
            if len(members) > 1:
                groups.append(self._make_group(members, number, table[1], table[2], leaves))
        groups.sort(key=lambda pair: pair[0])
        return _named([group for _, group in groups])

    def _make_group(
        self, members: Elements, number: Elements, leaf_of: Elements, index_of: Elements, leaves: list[Leaf]
    ) -> tuple[tuple[int, int], Group]:
        mine = self._rows_of(number)[0], self._rows_of(number)[1]
        order, start = mine
        rows = np.concatenate([order[start[m] : start[m + 1]] for m in members])
        channel, leaf, index = number[rows], leaf_of[rows], index_of[rows]
        first_leaf = int(leaf.min())
        on_first = leaf == first_leaf
        first_index = np.full(self._channel_count, np.iinfo(np.int64).max)
        np.minimum.at(first_index, channel[on_first], index[on_first])
        members = members[np.argsort(first_index[members], kind="stable")]
        rank = np.zeros(self._channel_count, dtype=np.int64)
        rank[members] = np.arange(len(members))
        slices = []
        for which in np.unique(leaf):
            here = leaf == which
            sort = np.lexsort((index[here], rank[channel[here]]))
            positions = torch.from_numpy(index[here][sort].reshape(len(members), -1).copy())
            tensor, dim = leaves[which]
            slices.append(Slice(tensor, dim, positions, self._roles.get(leaves[which], "along")))
        producer = next((s for s in slices if s.role == "out"), slices[0])
        name = f"{producer.tensor}:{producer.dim}"
        return (first_leaf, int(first_index[members[0]])), Group(name, len(members), tuple(slices), members)

    def _rows_of(self, number: Elements) -> tuple[Elements, Elements]:
        if not hasattr(self, "_row_order"):
            order = np.argsort(number, kind="stable")
            start = np.searchsorted(number[order], np.arange(self._channel_count + 1))
            self._row_order = (order, start)
        return self._row_order

    def __repr__(self) -> str:
        channels = sum(group.size for group in self.groups)
        counts = f"{len(self.groups)} groups, {channels} channels, {len(self.operations)} operations"
        return f"StructureGraph({counts})"


def _owner_table(rows: list[Elements]) -> tuple[Elements, Elements, Elements]:
    """Flatten owners to one row per (channel, leaf, index)."""
    channel, leaf, index = [], [], []
    for position, owners in enumerate(rows):
        at, column = np.nonzero(owners != NOBODY)
        channel.append(owners[at, column])
        leaf.append(np.full(len(at), position, dtype=np.int64))
        index.append(at)
    if not channel:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    return np.concatenate(channel), np.concatenate(leaf), np.concatenate(index)


def _by_signature(number: Elements, leaf: Elements, origins: Elements, leaves: int) -> list[Elements]:
    """Group channels of one origin that own equally many indices of the same leaves.

    The origin tells the factors of one dimension apart: heads and head width own the same leaves.
    """
    hashes = np.random.default_rng(0).integers(1, 2**62, size=leaves, dtype=np.int64).astype(np.uint64)
    signature = origins.astype(np.uint64)
    np.add.at(signature, number, hashes[leaf])
    order = np.argsort(signature, kind="stable")
    edges = np.flatnonzero(np.diff(signature[order])) + 1
    return [np.sort(part) for part in np.split(order, edges)]


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
