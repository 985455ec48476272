"""Copying a model while some of its tensors are replaced, faster than ``copy.deepcopy`` does it."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

IMMUTABLE = (int, float, bool, str, bytes, complex, type(None), type)


def copy_with(model: nn.Module, modules: Iterable[nn.Module], replaced: Mapping[int, Tensor]) -> nn.Module:
    """Return a deep copy of a model in which tensors (by ``id``) are others; those are never copied whole.

    Modules that copy themselves in a way of their own still do.
    """
    modules = list(modules)
    memo: dict[int, Any] = {**_compressed(modules), **_computed(modules), **replaced}
    plain = [module for module in modules if _copies_as_usual(type(module))]
    copies = []
    for module in plain:
        copies.append(type(module).__new__(type(module)))
        memo[id(module)] = copies[-1]
    # Parts before wholes: what copies itself (a compiled part does) may look into what it holds.
    for module, made in reversed([*zip(plain, copies, strict=True)]):
        for name, value in vars(module).items():
            if name == "_compiled_call_impl":  # a compiled forward belongs to the module it was compiled for
                continue
            made.__dict__[name] = _copy(value, memo)
    with warnings.catch_warnings():
        # Copying a program's signature makes PyTorch use what it has deprecated itself.
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        return copy.deepcopy(model, memo)


def _computed(modules: list[nn.Module]) -> dict[int, Tensor]:
    """Return copies of what modules keep from a run with gradients, which ``copy.deepcopy`` cannot make."""
    kept: list[Any] = []
    for module in modules:
        for value in vars(module).values():
            if type(value) in (list, tuple, set):
                kept.extend(value)
            elif isinstance(value, dict):
                kept.extend(value.values())
            else:
                kept.append(value)
    tensors = (item for item in kept if isinstance(item, Tensor) and item.grad_fn is not None)
    return {id(tensor): tensor.detach().clone() for tensor in tensors}


def _compressed(modules: list[nn.Module]) -> dict[int, Tensor]:
    """Return copies of the buffers in compressed sparse layouts, which ``copy.deepcopy`` cannot make."""
    buffers = [buffer for module in modules for buffer in module._buffers.values() if buffer is not None]
    return {id(buffer): buffer.clone() for buffer in buffers if buffer.layout != torch.strided}


def _copies_as_usual(kind: type[nn.Module]) -> bool:
    return (
        getattr(kind, "__deepcopy__", None) is None
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__getstate__ is nn.Module.__getstate__
        # What a convolution adds on loading is an attribute that old checkpoints lack.
        and kind.__setstate__ in (nn.Module.__setstate__, _ConvNd.__setstate__)
    )


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    # Most of what a module holds is numbers and a dozen empty containers.
    if isinstance(value, IMMUTABLE):
        return value
    if type(value) is tuple and all(isinstance(item, IMMUTABLE) for item in value):
        return value
    if type(value) in (dict, OrderedDict, set) and not value:
        made = memo[id(value)] = type(value)()
        return made
    return copy.deepcopy(value, memo)
