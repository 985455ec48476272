"""Looking at a model without leaving a mark on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


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
    """Put a model in evaluation mode; modes, attributes, buffers and the random state come back."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices), as_found(model.modules()), values_kept(model.buffers()):
        model.eval()
        yield


@contextmanager
def values_kept(buffers: Iterable[Tensor]) -> Iterator[None]:
    """Put back what the buffers hold, where a forward pass writes into them."""
    kept = [(buffer, buffer.detach().clone(), buffer._version) for buffer in buffers if not buffer.is_meta]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value, version in kept:
                if buffer._version != version and buffer.shape == value.shape:
                    buffer.copy_(value)


@contextmanager
def drawing_alike() -> Iterator[None]:
    """Let a forward pass draw the same random numbers every time; the random state is left as found."""
    with torch.random.fork_rng(devices=[]), _DrawInOrder():
        torch.manual_seed(0)
        yield


class _DrawInOrder(TorchFunctionMode):
    """Noise like a tensor is drawn in the order of its indices, not of its memory, which a cut may change."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (torch.rand_like, torch.randn_like, torch.randint_like):
            kwargs = {"memory_format": torch.contiguous_format, **kwargs}
        return function(*args, **kwargs)
