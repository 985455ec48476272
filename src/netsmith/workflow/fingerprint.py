"""Telling whether weights and data are the same as in an earlier run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from netsmith.tasks.batches import batch_of, size_of

if TYPE_CHECKING:
    from netsmith.tasks.task import Task

ENDS = 16
"""Samples looked at from either end of a data set."""


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return a short hash of tensors, by name, dtype, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def fingerprint_of_task(task: Task) -> str:
    """Return a short hash of a task's sizes and of its first and last examples."""
    ends: dict[str, Tensor] = {}
    for part, data in (("train", task.train), ("test", task.test)):
        size = size_of(data)
        rows = {"first": range(min(ENDS, size)), "last": range(max(0, size - ENDS), size)}
        for place, chosen in rows.items():
            tensors = [leaf for leaf in tree_leaves(batch_of(data, chosen)) if isinstance(leaf, Tensor)]
            ends |= {f"{part} {size} {place} {k}": tensor for k, tensor in enumerate(tensors)}
    return fingerprint(ends)
