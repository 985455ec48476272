"""Optimiser state of one parameter, moved along the dimensions that an edit changed.

A state tensor is recognised by its shape: that of the parameter (moments), the same with some dimensions of
size one or left out (factored second moments), or a square matrix over one dimension (the statistics of
Shampoo).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from netsmith.edits.gathering import along, ordinals
from netsmith.edits.records import Record
from netsmith.errors import EditError

GRADIENT_POWERS = {
    "momentum_buffer": 1, "exp_avg": 1, "exp_inf": 1, "grad_avg": 1, "prev": 1, "mu_product": 0,
    "exp_avg_sq": 2, "max_exp_avg_sq": 2, "square_avg": 2, "sum": 2, "variance": 2,
    "row_var": 2, "col_var": 2, "exp_avg_sq_row": 2, "exp_avg_sq_col": 2,
}  # fmt: skip
"""How a state grows with the gradient; states under other names are copied as they are."""
MEANS = frozenset(("row_var", "col_var", "exp_avg_sq_row", "exp_avg_sq_col"))
"""Factored states that are means over the dimensions they lack."""
LIKE_THE_PARAMETER = frozenset(("ax",))


@dataclass(frozen=True)
class Move:
    """What an edit did along one dimension of a parameter.

    ``index`` has the old index of each new one, ``size`` is the old size, ``share`` and ``gradient`` say what
    values and gradients were multiplied with.
    """

    index: Tensor
    size: int
    share: Tensor
    gradient: Tensor

    @property
    def grows(self) -> bool:
        """Whether indices were added rather than removed."""
        return len(self.index) > self.size

    def new_size(self, back: bool) -> int:
        """Return how many indices there are after the edit, or after it was taken back."""
        return self.size if back else len(self.index)

    def factor(self, key: str, power: int) -> Tensor:
        """Return what a state is multiplied with per new index."""
        return self.share if key in LIKE_THE_PARAMETER else self.gradient**power

    def forward(self, value: Tensor, dim: int, factor: Tensor) -> Tensor:
        """Return a state after the edit."""
        result = value.index_select(dim, self.index.to(value.device))
        return result * along(factor, dim, result) if result.is_floating_point() else result

    def backward(self, value: Tensor, dim: int, key: str, power: int) -> Tensor:
        """Return a state with the edit taken back: one slice again of all copies, nothing where none is left.

        The gradient of one channel is the sum of those of its copies, weighted with their shares where those
        multiply the values themselves.
        """
        shape = list(value.shape)
        shape[dim] = self.size
        weight = self.share if power and key not in LIKE_THE_PARAMETER else torch.ones_like(self.share)
        root = value if power < 2 else value.clamp_min(0) ** (1 / power)
        total = value.new_zeros(shape)
        total.index_add_(dim, self.index.to(value.device), root * along(weight, dim, value))
        if not power and key not in LIKE_THE_PARAMETER:
            count = torch.bincount(self.index, minlength=self.size).clamp_min(1)
            total = total / along(count, dim, total)
        return total**power if power > 1 else total


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
        if "seed" in record:  # fresh channels have no past
            share = gradient = torch.as_tensor(ordinals(indices) == 0).double()
        moves[int(dim)] = Move(index, int(old[int(dim)]), share, gradient)
    return moves


def moved(
    value: Any,
    key: str,
    name: str,
    shape: Sequence[int],
    moves: dict[int, Move],
    *,
    back: bool,
    at: int | None,
) -> Any:
    """Return an entry of a parameter's state after an edit, or after it was taken back.

    Args:
        value: a tensor, a number, or a list of such.
        key: the name of the entry; ``at`` is its position in a list, one entry per dimension.
        name: the parameter's name.
        shape: the parameter's shape that the state belongs to.
        moves: what the edit did, by dimension.
        back: whether the edit is taken back.

    Raises:
        EditError: a tensor whose shape follows from no dimension of the parameter.
    """
    if isinstance(value, (list, tuple)):
        entries = [moved(v, key, name, shape, moves, back=back, at=i) for i, v in enumerate(value)]
        return type(value)(entries)
    if not isinstance(value, Tensor) or value.dim() == 0 or (value.numel() == 1 < math.prod(shape)):
        return value
    dims = _dims_of(value, key, name, shape, set(moves), at)
    if len(dims) == 2 and dims[0] is not None and dims[0] == dims[1]:
        return _square(value, moves.get(dims[0]), inverse="inv" in key, back=back)
    power = GRADIENT_POWERS.get(key, 0)
    result = value
    for position, dim in enumerate(dims):
        if dim in moves:
            move = moves[dim]
            factor = move.factor(key, power)
            result = (
                move.backward(result, position, key, power)
                if back
                else move.forward(result, position, factor)
            )
    return result * _fewer(dims, moves, back) if key in MEANS else result


def _fewer(dims: Sequence[int | None], moves: dict[int, Move], back: bool) -> float:
    """Return how much larger a mean over reduced dimensions is when the zeros in it go."""
    gone = [move for dim, move in moves.items() if dim not in dims and not move.grows]
    ratio = math.prod(move.size / len(move.index) for move in gone)
    return 1 / ratio if back else ratio


def _square(value: Tensor, move: Move | None, *, inverse: bool, back: bool) -> Tensor:
    """Move a matrix ``epsilon I + sum of g g^T`` over one dimension; ``epsilon`` is its least eigenvalue."""
    if move is None:
        return value
    exact = value.double()
    least = torch.linalg.eigvalsh(exact)[0] if move.grows or back else exact.new_zeros(())
    unit = torch.eye(len(exact), dtype=exact.dtype, device=exact.device)
    result = exact - least * unit
    for dim in (0, 1):
        if back:
            result = move.backward(result, dim, "", 0 if inverse else 1)
        else:
            factor = torch.ones_like(move.gradient) if inverse else move.gradient
            result = move.forward(result, dim, factor)
    return (result + least * torch.eye(len(result), dtype=exact.dtype, device=exact.device)).to(value.dtype)


def _dims_of(
    value: Tensor, key: str, name: str, shape: Sequence[int], changed: set[int], at: int | None
) -> list[int | None]:
    """Return which dimension of the parameter each dimension of a state is; None for one of size one.

    Raises:
        EditError: none fits, or several do and only some of them changed.
    """
    sizes, rank = list(value.shape), len(shape)
    number = re.search(r"(\d+)$", key)
    place = at if at is not None else int(number.group(1)) if number else None
    square = len(sizes) == 2 and sizes[0] == sizes[1]
    if square and place is not None and place < rank and shape[place] == sizes[0]:
        return [place, place]
    if len(sizes) == rank and all(size in (1, whole) for size, whole in zip(sizes, shape, strict=True)):
        return [dim if sizes[dim] == shape[dim] else None for dim in range(rank)]
    fits: list[list[int | None]] = [
        list(dims) for dims in combinations(range(rank), len(sizes)) if [shape[d] for d in dims] == sizes
    ]
    if square:
        fits = [[dim, dim] for dim in range(rank) if shape[dim] == sizes[0]] or fits
    wanted = [place] if place is not None else []
    if "row" in key or "col" in key:
        wanted = [dim for dim in range(rank) if dim != (rank - 1 if "row" in key else rank - 2)]
    if len(fits) > 1 and wanted:
        fits = [dims for dims in fits if set(dims) <= set(wanted)] or fits
    if not fits or (len(fits) > 1 and any(changed & set(dims) for dims in fits)):
        what = "several dimensions" if fits else "no dimensions"
        raise EditError(
            f"state {key!r} of {name} has shape {tuple(sizes)}, which follows from {what} of the parameter's "
            f"{tuple(shape)}; make a new optimiser"
        )
    return fits[0]
