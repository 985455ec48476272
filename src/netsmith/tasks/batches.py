"""Batches of a task's data: ``(inputs, targets)`` pairs, whatever kind of data set it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, default_collate

from netsmith.contracts import Inputs

Batch = tuple[Inputs, Tensor]


def size_of(data: Dataset[Any]) -> int:
    """Return the number of samples."""
    return len(data)  # type: ignore[arg-type]


def batch_of(data: Dataset[Any], rows: Sequence[int] | Tensor) -> Batch:
    """Return some samples as one batch.

    A :class:`~torch.utils.data.TensorDataset` is indexed; of another data set the samples are put together by
    its own method ``collate``, where it has one, else as a ``DataLoader`` does it.

    Args:
        data: a map-style data set.
        rows: which samples.

    Returns:
        ``(inputs, targets)``, inputs as a model is called with them.
    """
    index = torch.as_tensor(rows)
    if isinstance(data, TensorDataset):
        inputs, targets = (tensor[index.to(tensor.device)] for tensor in data.tensors)
        return inputs, targets
    collate = getattr(data, "collate", default_collate)
    inputs, targets = collate([data[int(row)] for row in index])
    return inputs, targets


def in_order(data: Dataset[Any], batch_size: int) -> Iterator[Batch]:
    """Go through all samples once, in their own order; the last batch may be smaller."""
    for rows in torch.split(torch.arange(size_of(data)), batch_size):
        yield batch_of(data, rows)
