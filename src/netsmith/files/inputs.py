"""Example inputs of a model, bound to its arguments, and others like them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from netsmith.contracts import Inputs
from netsmith.errors import FileError

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Dims = Sequence[Mapping[int, str]]
"""For each argument of a model the dimensions that vary, and their names."""


def bind(model: nn.Module, inputs: Inputs) -> Arguments:
    """Return ``(args, kwargs)`` for a call of ``model``, the latter in the order of its signature.

    Raises:
        FileError: ``inputs`` is of another kind, or does not fit the signature.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, Tensor):
        args = (inputs,)
    elif isinstance(inputs, tuple):
        args = inputs
    elif isinstance(inputs, dict):
        kwargs = inputs
    else:
        raise FileError(
            f"inputs is a {type(inputs).__name__}, expected a tensor, a tuple or a dict of arguments"
        )
    try:
        order = [*by_name(model, (args, kwargs)), *kwargs]
    except TypeError as error:
        raise FileError(f"inputs do not fit {type(model).__name__}.forward: {error}") from error
    return args, {name: kwargs[name] for name in sorted(kwargs, key=order.index)}


def by_name(model: nn.Module, arguments: Arguments) -> dict[str, Any]:
    """Return the arguments under the names of the signature, in its order."""
    args, kwargs = arguments
    return dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)


def batch_size(inputs: Any) -> int | None:
    """Return the size of dim 0 of the first tensor that has one."""
    return next((int(t.shape[0]) for t in tree_leaves(inputs) if isinstance(t, Tensor) and t.dim()), None)


def with_batch(inputs: Any, size: int) -> Any:
    """Return ``inputs`` with every dim 0 that is the batch repeated or cut to ``size``."""
    batch = batch_size(inputs)

    def resize(tensor: Tensor) -> Tensor:
        if tensor.dim() == 0 or tensor.shape[0] != batch or batch == 0:
            return tensor
        return tensor[torch.arange(size, device=tensor.device) % batch]

    return tree_map_only(Tensor, resize, inputs)


def batch_shapes(model: nn.Module, arguments: Arguments, dim: Any) -> dict[str, Any]:
    """Return the dynamic shapes for torch.export: ``dim`` for every dim 0 that is the batch."""
    batch = batch_size(arguments)

    def shape(leaf: Any) -> Any:
        return {0: dim} if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == batch else None

    return {name: _map_leaves(shape, value) for name, value in by_name(model, arguments).items()}


def named_shapes(model: nn.Module, arguments: Arguments, dims: Dims, dim: Any = None) -> dict[str, Any]:
    """Return the dynamic shapes for torch.export: ``dims`` by argument, under their names or all as ``dim``.

    Raises:
        FileError: there is not one entry per argument.
    """
    named = by_name(model, arguments)
    if len(named) != len(dims):
        raise FileError(
            f"dynamic_shapes has {len(dims)} entries, the model takes {len(named)} ({', '.join(named)}); "
            "give one mapping per argument"
        )
    return {
        name: {position: dim or word for position, word in one.items()}
        for name, one in zip(named, dims, strict=True)
    }


def example(model: nn.Module, inputs: Inputs) -> Arguments:
    """Return the arguments to export with; a batch of 1, a constant to torch.export, becomes 2."""
    arguments = bind(model, inputs)
    if batch_size(arguments) != 1:
        return arguments
    return with_batch(arguments, 2)  # type: ignore[no-any-return]


def fresh(inputs: Any, generator: torch.Generator, *, integers: bool = True) -> Any:
    """Return other inputs of the same shapes, their values drawn from those of the examples.

    A float tensor of one value only is drawn from a normal distribution around it. Without ``integers`` only
    floating-point tensors are drawn.
    """

    def draw(tensor: Tensor) -> Tensor:
        flat = tensor.detach().reshape(-1)
        if flat.numel() == 0 or not (integers or tensor.is_floating_point()):
            return tensor
        if tensor.is_floating_point() and bool((flat == flat[0]).all()):
            return tensor + torch.randn(tensor.shape, generator=generator).to(tensor)
        chosen = torch.randint(flat.numel(), (flat.numel(),), generator=generator).to(flat.device)
        return flat[chosen].reshape(tensor.shape)

    return tree_map_only(Tensor, draw, inputs)


def describe(arguments: Arguments) -> str:
    """Return the shapes of arguments for an error message."""
    return ", ".join(str(list(t.shape)) for t in tree_leaves(arguments) if isinstance(t, Tensor))


def _map_leaves(function: Any, value: Any) -> Any:
    # None is a leaf here; torch's tree_map takes it for an empty node in some versions.
    if isinstance(value, dict):
        return {key: _map_leaves(function, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map_leaves(function, item) for item in value)
    return function(value)
