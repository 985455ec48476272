"""The structure graph: groups of coupled channels, what they own, and the operators that use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netsmith.contracts import Keep
from netsmith.errors import EditError, UnknownNameError
from netsmith.graph.axes import NOBODY, Dim, Elements, Leaf
from netsmith.graph.choices import check_choices
from netsmith.graph.grouping import Group, Role, by_signature, make_groups
from netsmith.graph.operation import Operation
from netsmith.graph.own_rules import OwnRules
from netsmith.graph.sizes import Requirement, Source
from netsmith.graph.solve import Solution, stack

COUNTS = frozenset((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
NEVER_USED = "never used in the forward pass"
NO_WEIGHT = "no parameter goes with it"


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
        apart: list[tuple[Source, Source]],
        own: OwnRules,
        parts: Sequence[Dim] = (),
    ) -> None:
        self.own = own
        self.requirements = requirements
        self.apart = apart
        self.operations = operations
        self.parameters = frozenset(parameters)
        self.itemsize = dict(itemsize)
        self._leaves = dict(leaves)
        self._solution = solution
        self._roles = roles
        self._used = used
        self._resolved: dict[tuple[int, ...], tuple[Elements, tuple[Elements, ...]]] = {}
        groups = self._group(parts)
        self.groups = [group for group in groups if self.parameters & {s.tensor for s in group.slices}]
        self._weightless = {
            Leaf(s.tensor, s.dim) for group in groups if group not in self.groups for s in group.slices
        }
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
            else (NO_WEIGHT if leaf in self._weightless else self._solution.reason(dim))
            for leaf, dim in self._leaves.items()
            if (leaf.tensor, leaf.dim) not in owned and dim.size > 1
        }

    def full(self) -> dict[str, Tensor]:
        """Return the keep that removes nothing."""
        return {group.name: torch.ones(group.size, dtype=torch.bool) for group in self.groups}

    def survivors(self, keep: Keep | None) -> NDArray[Any]:
        """Return, per channel number, whether it stays; the last entry stands for "nobody" and stays.

        Where ``keep`` holds whole numbers instead of truth values they say how many of each channel there
        will be, and so do the numbers returned.

        Raises:
            EditError: ``keep`` names an unknown group, has the wrong shape, or would remove a whole group.
        """
        keep = keep or {}
        counted = any(mask.dtype in COUNTS for mask in keep.values())
        alive = np.ones(self._channel_count + 1, dtype=np.int64 if counted else bool)
        for name, mask in keep.items():
            group = self.group(name)
            if tuple(mask.shape) != (group.size,):
                raise EditError(f"keep[{name!r}] has shape {tuple(mask.shape)}, expected ({group.size},)")
            if not bool(mask.any()):
                raise EditError(f"keep[{name!r}] removes all {group.size} channels; at least one must stay")
            alive[group.channels] = mask.detach().cpu().numpy().astype(alive.dtype)
        check_choices(self, alive)
        return alive

    def kept(self, dim: Dim, alive: NDArray[Any]) -> NDArray[Any]:
        """Return which indices of a dimension stay, or how many there will be of each."""
        if not dim.owners:
            return np.ones(dim.size, dtype=alive.dtype)
        rows = alive[self.owners(dim)]
        return np.asarray(rows.all(axis=1) if alive.dtype == bool else rows.prod(axis=1))

    def width(self, dim: Dim, alive: NDArray[Any]) -> int:
        """Return how many indices a dimension will have."""
        return int(self.kept(dim, alive).sum()) if dim.owners else dim.size

    def widths(self, operation: Operation, keep: Keep | None = None) -> dict[str, int]:
        """Return an operation's channel counts (``in``, ``out``, and a convolution's ``groups``)."""
        alive = self.survivors(keep)
        return {name: self.width(dim, alive) for name, dim in operation.widths.items()}

    def shapes(self, alive: NDArray[Any]) -> dict[str, tuple[int, ...]]:
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

    def leaves(self) -> Iterator[tuple[Leaf, Dim]]:
        """Yield every dimension of every parameter and buffer."""
        yield from self._leaves.items()

    def role(self, leaf: Leaf) -> Role:
        """Return what a parameter dimension does with its channels."""
        return self._roles.get(leaf, "along")

    def owners(self, dim: Dim) -> Elements:
        """Return the numbers of the channels that own each index, ``[size, owners]``.

        The highest number, one beyond the last channel, stands for nobody.
        """
        key = tuple(id(array) for array in dim.owners)
        found = self._resolved.get(key)
        if found is None:
            rows = self._solution.channels(dim)
            # Owners of an unused parameter or of a lone channel are in no group; they always stay anyway.
            found = (self._numbers[rows], dim.owners)
            self._resolved[key] = found
        return found[0]

    def _group(self, parts: Sequence[Dim]) -> list[Group]:
        """Number the channels and put those that own the same slices side by side."""
        leaves = [leaf for leaf, dim in self._leaves.items() if dim.owners and leaf.tensor in self._used]
        alike = self._alike(leaves)
        channel, kind, index = self._owner_table([leaves[numbers[0]] for numbers in alike])
        there = np.zeros(self._solution.count + 1, dtype=bool)
        there[channel] = True
        roots = np.flatnonzero(there)
        self._channel_count = len(roots)
        self._numbers = np.full(self._solution.count + 1, len(roots), dtype=np.int64)
        self._numbers[roots] = np.arange(len(roots))
        if not len(roots):
            return []
        number = self._numbers[channel]
        members = [np.unique(self._numbers[self._solution.channels(part)]) for part in parts]
        members = [part[part < len(roots)] for part in members]
        group = by_signature(number, kind, self._solution.origins(roots), alike, members)
        return make_groups(group, number, kind, index, alike, leaves, self._roles)

    def _alike(self, leaves: list[Leaf]) -> list[list[int]]:
        """Put the numbers of leaves together whose indices have the same owners in the same order."""
        found: dict[tuple[int, bytes], list[int]] = {}
        for number, leaf in enumerate(leaves):
            dim = self._leaves[leaf]
            found.setdefault((dim.size, self._solution.roots(dim)), []).append(number)
        return list(found.values())

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
