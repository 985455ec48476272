"""A user's own data sets, as a task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from netsmith.errors import DataError
from netsmith.tasks.task import Task


def task_of_pair(name: str, train: Any, test: Any) -> Task:
    """Return a classification task of two map-style data sets of ``(input, class id)`` pairs, held in memory.

    Args:
        name: what reports call it.
        train: data set to train on.
        test: held-out data set.

    Raises:
        DataError: a data set is empty, its inputs differ in shape, or its targets are not class ids.
    """
    parts = [_in_memory(data, which) for data, which in ((train, "train"), (test, "test"))]
    shapes = [tuple(part.tensors[0].shape[1:]) for part in parts]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"train inputs are {list(shapes[0])}, test inputs {list(shapes[1])}; expected one shape"
        )
    classes = 1 + max(int(part.tensors[1].max()) for part in parts)
    return Task(name=name, train=parts[0], test=parts[1], classes=classes, input_shape=shapes[0])


def _in_memory(data: Any, which: str) -> TensorDataset:
    try:
        items = [data[index] for index in range(len(data))]
        inputs = torch.stack([torch.as_tensor(item[0], dtype=torch.float32) for item in items])
        targets = torch.stack([torch.as_tensor(item[1]) for item in items])
    except (TypeError, IndexError, KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"the {which} data is not a list of (input, class id) pairs of one shape: {reason}"
        ) from error
    _check_class_ids(targets, which)
    return TensorDataset(inputs, targets.long())


def _check_class_ids(targets: Tensor, which: str) -> None:
    if targets.ndim != 1 or targets.is_floating_point() or int(targets.min()) < 0:
        raise DataError(f"the {which} targets must be class ids (whole numbers from 0 on), one per input")
