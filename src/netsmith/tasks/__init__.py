"""Tasks: data set, loss and metric under one name, loaded when asked for.

A local copy of a data set is found through the environment variable ``NETSMITH_DATA``: a folder that holds
one folder per task, named like it (``planetoid`` for cora, ``tudataset`` for mutag and proteins). Without one
a set is downloaded from its public home into the user's cache.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from netsmith.errors import UnknownNameError
from netsmith.tasks.task import Task

__all__ = ["Task", "load", "names"]

_NAMES = (
    "digits",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "cifar10-jpeg",
    "ptb",
    "cora",
    "mutag",
    "proteins",
)


def names() -> tuple[str, ...]:
    """Return the names of the built-in tasks."""
    return _NAMES


def load(name: str, **options: Any) -> Task:
    """Return a built-in task.

    Args:
        name: one of :func:`names`.
        options: those of the task's own ``load``: ``train_size`` and ``test_size`` where a set has more than
            one sample (subsets for short runs, class-balanced where samples have a class), ``augment`` where
            there is one.

    Raises:
        UnknownNameError: no such task, or the task has no such option.
        DataError: the data is missing, incomplete or not the published one.
        NetsmithError: the task needs a library that is not installed.
    """
    if name not in _NAMES:
        raise UnknownNameError("data set", name, _NAMES)
    loader = importlib.import_module(f"netsmith.tasks.{name.replace('-', '_')}").load
    known = inspect.signature(loader).parameters
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of data set {name!r}", option, known)
    task: Task = loader(**options)
    return task
