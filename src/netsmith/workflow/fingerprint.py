"""Telling whether weights and data are the same as in an earlier run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from netsmith.tasks.task import Task


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return a short hash of tensors, by name, dtype, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def fingerprint_of_task(task: Task) -> str:
    """Return a short hash of a task's sizes and of its first and last examples."""
    parts = {"train": task.train.tensors, "test": task.test.tensors}
    ends = {
        f"{part} {len(tensor)} {place} {k}": tensor[index]
        for part, tensors in parts.items()
        for k, tensor in enumerate(tensors)
        for place, index in (("first", slice(0, 16)), ("last", slice(-16, None)))
    }
    return fingerprint(ends)
