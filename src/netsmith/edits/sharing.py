"""Where the output shares of copied channels go, so that a network computes what it did before.

Copies of a channel carry the same values. Everything pointwise keeps them so; whatever sums over them would
count them several times. Each such sum needs exactly one factor that is multiplied with the shares: a weight
that reads the channels, or, where two computed tensors meet (queries and keys), the weights that make one
of them, if nothing but linear operators lies between.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsmith.errors import EditError
from netsmith.graph import Operation, StructureGraph
from netsmith.graph.axes import Dim, Leaf
from netsmith.graph.operation import Read

Channels = frozenset[int]
Shared = dict[Leaf, Channels]
"""Per parameter dimension the channels whose shares multiply it."""

EXTREMA = frozenset(("amax", "amin", "aminmax", "any", "all"))
"""They do not see how often a value is there."""
AVERAGES = frozenset(("mean", "native_layer_norm", "native_group_norm", "_fused_rms_norm"))
"""They do not see it either when every value is there equally often."""
REARRANGING = frozenset(
    (
        "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "squeeze",
        "unsqueeze", "expand", "clone", "_to_copy", "alias", "detach", "contiguous", "lift_fresh",
    )
)  # fmt: skip
NOISE = frozenset(("rand_like", "randn_like", "randint_like", "bernoulli", "normal_functional"))
"""They give every copy values of its own."""
CONTRACTIONS = ("conv", "linear", "matmul")


class _Factor(NamedTuple):
    """Parameter dimensions, and the (operation, argument) pairs in which they take part in a sum."""

    leaves: frozenset[Leaf]
    uses: frozenset[tuple[int, int]]


class Sharing:
    """Finds the factor that takes the shares for every sum over copied channels.

    Args:
        graph: the structure graph.
        counts: how many of each channel there will be.
        alike: whether the copies carry the same values; fresh channels do not.
    """

    def __init__(self, graph: StructureGraph, counts: NDArray[np.int64], *, alike: bool) -> None:
        self._graph = graph
        self._counts = counts
        self._alike = alike
        self._consumers = Counter(source for op in graph.operations for source in op.sources)
        self._blessed: set[tuple[int, int]] = set()

    def find(self) -> Shared:
        """Return the parameter dimensions that take the shares.

        Raises:
            EditError: an operator sees how many copies there are, and nothing can make up for it.
        """
        shared = self._of_unseen_readers()
        for operation in self._graph.operations:
            if self._alike and operation.name in NOISE and any(map(self._copied, operation.outputs[0])):
                raise _refusal(operation, f"{operation.name} gives every copy values of its own")
            for read in operation.reads:
                channels = self._copied(read.axis)
                if operation.kind == "conv":  # it sums within a group, over its inner channels
                    channels -= self._copied(operation.constants["groups"])
                if not channels or (read.statistic and self._indifferent(operation, read)):
                    continue
                found = self._factor(operation, read, channels)
                self._blessed.update(found.uses)
                for leaf in found.leaves:
                    if shared.setdefault(leaf, channels) != channels:
                        raise _refusal(operation, f"{leaf.tensor} is also summed over other channels")
        self._check_uses(shared)
        return shared

    def _copied(self, dim: Dim) -> Channels:
        """Return the channels that own indices of a dimension and will be several."""
        if not dim.owners:
            return frozenset()
        channels = np.unique(self._graph.owners(dim))
        return frozenset(channels[self._counts[channels] > 1].tolist())

    def _of_unseen_readers(self) -> Shared:
        """Weights that sum over channels in training only, where no operation was noted."""
        seen = {name for operation in self._graph.operations for name in operation.parameters}
        return {
            leaf: self._copied(dim)
            for leaf, dim in self._graph.leaves()
            if leaf.tensor not in seen and self._graph.role(leaf) == "in" and self._copied(dim)
        }

    def _indifferent(self, operation: Operation, read: Read) -> bool:
        """Whether a statistic stays what it was."""
        if not self._alike:
            return False
        if operation.name in EXTREMA:
            return True
        counts = self._graph.kept(read.axis, self._counts)
        if operation.name == "native_group_norm":
            counts = counts.reshape(operation.constants["groups"].size, -1)
        return operation.name in AVERAGES and bool((counts == counts[..., :1]).all())

    def _factor(self, operation: Operation, read: Read, channels: Channels) -> _Factor:
        """Return what takes the shares for one sum."""
        arguments: list[tuple[int, int]] = []
        if operation.kind in CONTRACTIONS and not read.statistic:
            arguments = [_other_side(operation, read), (read.argument, read.dim)]
        elif operation.name == "sum":
            arguments = [(read.argument, read.dim)]
        for argument, dim in arguments:
            found = self._through(operation, argument, channels, dim)
            if found is not None:
                return found
        raise _refusal(operation, f"{operation.name} there sees how many copies there are")

    def _through(
        self, operation: Operation, argument: int, channels: Channels, dim: int | None = None
    ) -> _Factor | None:
        """Return the parameters through which an argument of an operation can be multiplied per channel."""
        axes = operation.inputs[argument]
        axes = axes if dim is None else (axes[dim],)
        leaves = [axis.leaf for axis in axes if axis.leaf is not None and channels <= self._copied(axis)]
        if len(leaves) == 1:
            return _Factor(frozenset(leaves), frozenset(((operation.index, argument),)))
        source = operation.sources[argument]
        if leaves or source < 0 or self._consumers[source] > 1:
            return None
        made_by = self._graph.operations[source]
        for terms in _proportional(made_by):
            found = [self._through(made_by, one, channels, at) for one, at in terms]
            parts = [part for part in found if part is not None]
            if len(parts) == len(terms):
                leaves_, uses = zip(*parts, strict=True)
                return _Factor(frozenset().union(*leaves_), frozenset().union(*uses))
        return None

    def _check_uses(self, shared: Shared) -> None:
        """Refuse a parameter that takes shares in one place and is used as it is in another."""
        for operation in self._graph.operations:
            for argument, axes in enumerate(operation.inputs):
                for leaf in [dim.leaf for dim in axes if dim.leaf in shared]:
                    passed = operation.name in REARRANGING and any(
                        dim.leaf == leaf for output in operation.outputs for dim in output
                    )
                    if not passed and (operation.index, argument) not in self._blessed:
                        why = "reads these channels elsewhere and is used there as it is (tied or normalised)"
                        raise _refusal(operation, f"{leaf.tensor if leaf else ''} {why}")


def _other_side(operation: Operation, read: Read) -> tuple[int, int]:
    """Return the argument and dimension that a contraction's read dimension is multiplied with."""
    rank = len(operation.inputs[read.argument + 1])
    if operation.kind == "conv":
        return read.argument + 1, 0 if operation.geometry["transposed"] else 1
    return read.argument + 1, max(rank - 2, 0)


def _proportional(operation: Operation) -> list[list[tuple[int, int | None]]]:
    """Return sets of arguments, with the dimension where it matters: the output is linear in each set."""
    count = len(operation.inputs)
    if operation.name in REARRANGING or operation.name in ("neg", "div"):
        return [[(0, None)]]
    if operation.name == "mul":
        return [[(argument, None)] for argument in range(count)]
    if operation.name in ("add", "sub"):  # a plain number as the second term would not be multiplied
        return [[(0, None), (1, None)]] if count == 2 else []
    if operation.name == "mm":
        return [[(1, -1)], [(0, -2)]]
    if operation.name == "addmm":
        return [[(0, None), (2, -1)], [(0, None), (1, -2)]]
    if operation.name == "bmm":
        return [[(1, None)], [(0, None)]]
    if operation.kind == "conv":
        weight = (1, 1 if operation.geometry["transposed"] else 0)
        return [[weight, *((2, None) for _ in range(count - 2))]]
    return []


def _refusal(operation: Operation, why: str) -> EditError:
    place = operation.module or "the model's own forward"
    return EditError(
        f"these channels cannot become several without changing what the model computes: in {place}, {why}; "
        "leave their group out"
    )
