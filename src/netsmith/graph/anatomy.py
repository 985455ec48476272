"""A model's modules, parameters and buffers by name, from one walk over it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector: a trace makes a great many small objects, all of which stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True)
class Anatomy:
    """Modules, parameters and buffers by name; what is shared stands once, under its first name."""

    modules: dict[str, nn.Module]
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    @classmethod
    def of(cls, model: nn.Module) -> Anatomy:
        """Walk over a model."""
        modules = dict(model.named_modules())
        parameters: dict[str, Tensor] = {}
        buffers: dict[str, Tensor] = {}
        for found, store in ((parameters, "_parameters"), (buffers, "_buffers")):
            seen: set[int] = set()
            for path, module in modules.items():
                for name, tensor in getattr(module, store).items():
                    if tensor is not None and id(tensor) not in seen:
                        seen.add(id(tensor))
                        found[f"{path}.{name}" if path else name] = tensor
        return cls(modules, parameters, buffers)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Parameters, then buffers."""
        return {**self.parameters, **self.buffers}

    @contextmanager
    def replaced(self, new: Mapping[int, Tensor]) -> Iterator[None]:
        """Put other tensors in the place of parameters and buffers (by ``id``) for a while."""
        saved: list[tuple[dict[str, Any], str, Tensor]] = []
        flat: list[tuple[nn.Module, list[Tensor]]] = []
        try:
            for module in self.modules.values():
                for store in (module._parameters, module._buffers):
                    for name, tensor in store.items():
                        if tensor is not None:
                            saved.append((store, name, tensor))
                            store[name] = new[id(tensor)]  # type: ignore[assignment]
                weights = module.__dict__.get("_flat_weights")  # the second list that recurrent layers keep
                if isinstance(weights, list):
                    flat.append((module, weights))
                    module.__dict__["_flat_weights"] = [new.get(id(weight), weight) for weight in weights]
            yield
        finally:
            for kept, name, tensor in saved:
                kept[name] = tensor
            for module, weights in flat:
                module.__dict__["_flat_weights"] = weights
