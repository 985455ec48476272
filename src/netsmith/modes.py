"""Looking at a model without leaving a mark on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def as_found(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put back, at the end, every attribute of the modules and the contents of their dicts, lists and sets.

    Networks note things while they run: sizes they met, tables they need again. What one run leaves there is
    wrong for the next run on another device, or with other widths.
    """
    before: list[tuple[dict[str, Any], dict[str, Any]]] = []
    contents: list[tuple[Any, Any]] = []
    for module in modules:
        attributes = module.__dict__
        before.append((attributes, attributes.copy()))
        contents.extend(
            (value, value.copy() if value else None)
            for value in attributes.values()
            if isinstance(value, (dict, list, set))
        )
    try:
        yield
    finally:
        for attributes, saved in before:
            attributes.clear()
            attributes.update(saved)
        for value, kept in contents:
            if kept is not None or value:
                _refill(value, kept)


def _refill(value: Any, kept: Any) -> None:
    if isinstance(value, list):
        value[:] = kept or []
        return
    value.clear()
    value.update(kept or ())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode; every module's own mode and the random state come back."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), as_found(model.modules()):
        model.eval()
        yield
