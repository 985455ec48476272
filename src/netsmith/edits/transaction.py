"""Edits of a model in place that either happen whole or not at all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from netsmith.graph.anatomy import Anatomy

CONTAINERS = (dict, OrderedDict, list, set)


@contextmanager
def all_or_nothing(model: nn.Module) -> Iterator[None]:
    """Put a model back as it was when what is done to it within the block raises.

    Modules, attributes, and which tensor stands where are put back; nothing is copied for that, so what is
    done in the block must make new tensors and not write into those it finds.
    """
    anatomy = Anatomy.of(model)
    attributes = [(module, _kept(module)) for module in anatomy.modules.values()]
    tensors = [(tensor, tensor.data, tensor.grad) for tensor in anatomy.tensors.values()]
    try:
        yield
    except BaseException:
        for module, kept in attributes:
            module.__dict__.clear()
            module.__dict__.update(kept)
        for tensor, data, gradient in tensors:
            tensor.grad = None
            tensor.data = data
            tensor.grad = gradient
        raise


def _kept(module: nn.Module) -> dict[str, Any]:
    return {
        name: value.copy() if type(value) in CONTAINERS else value for name, value in vars(module).items()
    }
