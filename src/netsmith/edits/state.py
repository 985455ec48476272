"""Optimiser state of one parameter, moved along the dimensions that an edit changed.

A state tensor is recognised by its shape: that of the parameter (moments), the same with some dimensions of
size one or left out (factored second moments), or a square matrix over one dimension (the statistics of
Shampoo).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from netsmith.edits.move import Move
from netsmith.errors import EditError

GRADIENT_POWERS = {
    "momentum_buffer": 1, "exp_avg": 1, "exp_inf": 1, "grad_avg": 1, "prev": 1, "mu_product": 0,
    "exp_avg_sq": 2, "max_exp_avg_sq": 2, "square_avg": 2, "sum": 2, "variance": 2,
    "row_var": 2, "col_var": 2, "exp_avg_sq_row": 2, "exp_avg_sq_col": 2,
}  # fmt: skip
"""How a state grows with the gradient; states under other names are copied as they are."""
SCALED_STEPS = frozenset(("square_avg", "momentum_buffer"))
"""An optimiser with both (RMSprop) has a momentum of steps that are free of the gradient's scale."""
MEANS = frozenset(("row_var", "col_var", "exp_avg_sq_row", "exp_avg_sq_col"))
"""Factored states that are means over the dimensions they lack."""


def powers_of(state: dict[str, Any]) -> dict[str, int]:
    """Return how the entries of a parameter's state grow with the gradient, of those that are known."""
    powers = {key: GRADIENT_POWERS[key] for key in state if key in GRADIENT_POWERS}
    return powers | {"momentum_buffer": 0} if state.keys() >= SCALED_STEPS else powers


def moved(
    value: Any,
    key: str,
    name: str,
    shape: Sequence[int],
    moves: dict[int, Move],
    *,
    back: bool,
    power: int | None = None,
    at: int | None = None,
) -> Any:
    """Return an entry of a parameter's state after an edit, or after it was taken back.

    Args:
        value: a tensor, a number, or a list of such.
        key: the name of the entry; ``at`` is its position in a list, one entry per dimension.
        name: the parameter's name.
        shape: the parameter's shape that the state belongs to.
        moves: what the edit did, by dimension.
        back: whether the edit is taken back.
        power: how the entry grows with the gradient; None where nobody knows.

    Raises:
        EditError: a tensor whose shape follows from no dimension of the parameter.
    """
    if isinstance(value, (list, tuple)):
        entries = [
            moved(v, key, name, shape, moves, back=back, power=power, at=i) for i, v in enumerate(value)
        ]
        return type(value)(entries)
    if not isinstance(value, Tensor) or value.dim() == 0 or (value.numel() == 1 < math.prod(shape)):
        return value
    dims = _dims_of(value, key, name, shape, set(moves), at)
    if len(dims) == 2 and dims[0] is not None and dims[0] == dims[1]:
        return _square(value, moves.get(dims[0]), inverse="inv" in key, back=back)
    result = value
    for position, dim in enumerate(dims):
        if dim in moves:
            move = moves[dim]
            if back:
                result = move.backward(result, position, key, power)
            else:
                result = move.forward(result, position, move.factor(key, power))
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
            factor = move.factor("", 0 if inverse else 1)
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
