"""The masked original's calls of operators and modules that have a rule of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from netsmith.graph.axes import Axes
from netsmith.graph.operation import Operation
from netsmith.graph.structure import StructureGraph


def on_survivors(
    graph: StructureGraph,
    alive: NDArray[np.bool_],
    operation: Operation,
    tensors: list[Tensor],
    run: Callable[[dict[int, Tensor], dict[str, int]], Any],
) -> Any:
    """Run a call on the indices that stay, of every tensor, and put its outputs back in their places.

    ``run`` gets what takes the place of each tensor (by ``id``) and the sizes that its integers must have.
    """

    def cut(tensor: Tensor, axes: Axes) -> Tensor:
        for dim, axis in enumerate(axes):
            kept = graph.kept(axis, alive)
            if not kept.all():
                tensor = tensor.index_select(dim, torch.from_numpy(kept).nonzero()[:, 0].to(tensor.device))
        return tensor

    new = {id(tensor): cut(tensor, axes) for tensor, axes in zip(tensors, operation.inputs, strict=True)}
    sizes = {name: graph.width(dim, alive) for name, dim in operation.constants.items()}
    remaining = iter(operation.outputs)

    def spread(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        for dim, axis in enumerate(next(remaining)):
            kept = graph.kept(axis, alive)
            if not kept.all():
                shape = [*leaf.shape[:dim], axis.size, *leaf.shape[dim + 1 :]]
                place = torch.from_numpy(kept).nonzero()[:, 0].to(leaf.device)
                leaf = torch.zeros(shape, dtype=leaf.dtype, device=leaf.device).index_copy(dim, place, leaf)
        return leaf

    return tree_map(spread, run(new, sizes))


def swapped(value: Any, new: Mapping[int, Tensor]) -> Any:
    """Return nested arguments with tensors (by ``id``) replaced."""
    return tree_map(lambda leaf: new.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf, value)


@contextmanager
def lent(module: nn.Module, new: Mapping[int, Tensor], sizes: Mapping[str, int]) -> Iterator[None]:
    """Put other tensors and integers into a module for a while."""
    stores = [store for part in module.modules() for store in (part._parameters, part._buffers)]
    saved = [(store, name, tensor) for store in stores for name, tensor in store.items()]
    before = {name: getattr(module, name) for name in sizes if hasattr(module, name)}
    try:
        for store, name, tensor in saved:
            store[name] = new.get(id(tensor), tensor)  # type: ignore[assignment]
        for name in before:
            setattr(module, name, sizes[name])
        yield
    finally:
        for store, name, tensor in saved:
            store[name] = tensor  # type: ignore[assignment]
        for name, value in before.items():
            setattr(module, name, value)
