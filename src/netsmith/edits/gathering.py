"""One channel again of several: growing edits taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsmith.edits.records import Record
from netsmith.edits.slicing import apply, drop_new, known
from netsmith.graph.anatomy import Anatomy


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Make one channel again of the copies (see :func:`gathered`) or take the added ones away."""
    anatomy = Anatomy.of(model)
    tensors = {name: gathered(known(anatomy.tensors, name), record, name) for name in record["tensors"]}
    apply(model, anatomy, tensors, record["before"], inplace=True)
    drop_new(anatomy.modules, record["attributes"], record["before"])


def gathered(tensor: Tensor, record: Record, name: str) -> Tensor:
    """Return a grown tensor with one slice again for each that became several.

    Slices that took shares are added up, others averaged, so that the function is what it was while the
    copies are alike. Of added fresh channels nothing stays.
    """
    result = tensor.detach()
    if name in record.get("offsets", {}):
        offset = torch.as_tensor(record["offsets"][name], dtype=result.dtype, device=result.device)
        for dim, factor in record["shares"].get(name, {}).items():
            offset = offset * along(factor, int(dim), offset)
        result = result - offset
    for dim, index in record["tensors"][name].items():
        if "seed" in record or not result.is_floating_point():
            first = torch.as_tensor(np.flatnonzero(ordinals(index) == 0))
            # In the order of the old indices.
            first = first[torch.argsort(torch.as_tensor(index)[first])]
            result = result.index_select(int(dim), first.to(result.device))
            continue
        old = torch.as_tensor(index, device=result.device)
        shape = list(result.shape)
        shape[int(dim)] = int(old.max()) + 1
        factor = record["shares"].get(name, {}).get(dim, [1.0] * len(index))
        whole = torch.bincount(old.cpu(), torch.as_tensor(factor, dtype=torch.float64))
        total = result.new_zeros(shape).index_add(int(dim), old, result)
        result = total / along(whole, int(dim), total)
    return result


def ordinals(index: Sequence[int]) -> NDArray[np.int64]:
    """Return which copy of its old index each new one is: 0 for the first of each.

    Example:
        >>> ordinals([0, 1, 1, 2, 1]).tolist()
        [0, 0, 1, 0, 2]
    """
    old = np.asarray(index, dtype=np.int64)
    order = np.argsort(old, kind="stable")
    place = np.empty_like(old)
    place[order] = np.arange(len(old)) - np.searchsorted(old[order], old[order])
    return place


def along(values: Any, dim: int, like: Tensor) -> Tensor:
    """Return values as a tensor that broadcasts along one dimension of another."""
    shape = [1] * like.dim()
    shape[dim] = -1
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(shape)
