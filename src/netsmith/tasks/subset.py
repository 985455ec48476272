"""The first n examples, class by class: the same short run for everyone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from netsmith.errors import DataError


def balanced(labels: Tensor, size: int | None) -> Tensor:
    """Return the index of a deterministic, class-balanced subset, in the original order.

    Examples are taken in rounds, one of each class per round, each class in its original order; the last,
    unfinished round takes whichever come first. As long as no class runs out, class counts differ by at
    most one.

    Args:
        labels: class ids, int64 ``[n]``.
        size: how many to keep, 1 to n; None keeps all.

    Returns:
        int64 ``[size]``, ascending.

    Raises:
        DataError: size is not between 1 and n.

    Example:
        >>> balanced(torch.tensor([0, 0, 0, 1, 1, 1]), 4).tolist()
        [0, 1, 3, 4]
    """
    if size is None:
        return torch.arange(len(labels))
    if not 1 <= size <= len(labels):
        raise DataError(f"a subset of {size} examples was asked for; give a size from 1 to {len(labels)}")
    one_hot = F.one_hot(labels)
    rounds = (one_hot.cumsum(dim=0) * one_hot).sum(dim=1)
    return rounds.argsort(stable=True)[:size].sort().values
