"""What an edit did along one dimension of a parameter, forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netsmith.edits.gathering import along, ordinals
from netsmith.edits.records import Record

LIKE_THE_PARAMETER = frozenset(("ax",))
"""States that are averages of the parameter itself."""


@dataclass(frozen=True)
class Move:
    """What an edit did along one dimension of a parameter.

    ``index`` has the old index of each new one, ``size`` is the old size, ``share`` and ``gradient`` say what
    values and gradients were multiplied with, ``known`` is 0 for indices without a past and else 1.
    """

    index: Tensor
    size: int
    share: Tensor
    gradient: Tensor
    known: Tensor

    @property
    def grows(self) -> bool:
        """Whether indices were added rather than removed."""
        return len(self.index) > self.size

    def new_size(self, back: bool) -> int:
        """Return how many indices there are after the edit, or after it was taken back."""
        return self.size if back else len(self.index)

    def factor(self, key: str, power: int | None) -> Tensor:
        """Return what a state is multiplied with per new index."""
        if key in LIKE_THE_PARAMETER:
            return self.share
        return torch.ones_like(self.share) if power is None else self.gradient**power * self.known

    def forward(self, value: Tensor, dim: int, factor: Tensor) -> Tensor:
        """Return a state after the edit."""
        result = value.index_select(dim, self.index.to(value.device))
        return result * along(factor, dim, result) if result.is_floating_point() else result

    def backward(self, value: Tensor, dim: int, key: str, power: int | None) -> Tensor:
        """Return a state with the edit taken back: one slice again of all copies, nothing where none is left.

        The gradient of one channel is the sum of those of its copies, weighted with their shares where those
        multiply the values themselves; what does not grow with it is averaged.
        """
        shape = list(value.shape)
        shape[dim] = self.size
        weight = self.share * self.known if power else self.known
        root = value.clamp_min(0) ** (1 / power) if power and power > 1 else value
        total = value.new_zeros(shape)
        total.index_add_(dim, self.index.to(value.device), root * along(weight, dim, value))
        if key in LIKE_THE_PARAMETER:
            return total
        if not power:
            total = total / along(torch.bincount(self.index, self.known, self.size).clamp_min(1), dim, total)
        return total**power if power and power > 1 else total


def moves_of(record: Record, name: str, shape: Sequence[int]) -> dict[int, Move]:
    """Return what a record did to a parameter, by dimension; ``shape`` is its own where none is recorded."""
    moves = {}
    old = record.get("shapes", {}).get(name, shape)
    for dim, indices in record.get("tensors", {}).get(name, {}).items():
        index = torch.as_tensor(indices, dtype=torch.long)
        share, gradient = (
            torch.as_tensor(
                record.get(what, {}).get(name, {}).get(dim, [1.0] * len(index)), dtype=torch.float64
            )
            for what in ("shares", "gradients")
        )
        known = torch.ones_like(share)
        if "seed" in record:  # fresh channels have no past, the others are as they were
            share = gradient = known
            known = torch.as_tensor(ordinals(indices) == 0).double()
        moves[int(dim)] = Move(index, int(old[int(dim)]), share, gradient, known)
    return moves
