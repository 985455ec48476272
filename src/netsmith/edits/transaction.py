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
    modules = modules_as_they_are(anatomy)
    tensors = [(tensor, tensor.data, tensor.grad) for tensor in anatomy.tensors.values()]
    try:
        yield
    except BaseException:
        put_back(modules)
        for tensor, data, gradient in tensors:
            tensor.grad = None
            tensor.data = data
            tensor.grad = gradient
        raise


Kept = list[tuple[nn.Module, type[nn.Module], dict[str, Any]]]


def modules_as_they_are(anatomy: Anatomy) -> Kept:
    """Return every module with its class and a shallow copy of its attributes."""
    return [(module, type(module), _kept(module)) for module in anatomy.modules.values()]


def put_back(modules: Kept) -> None:
    """Give modules the classes and attributes they had."""
    for module, kind, kept in modules:
        module.__class__ = kind
        module.__dict__.clear()
        module.__dict__.update(kept)


def _kept(module: nn.Module) -> dict[str, Any]:
    return {
        name: value.copy() if type(value) in CONTAINERS else value for name, value in vars(module).items()
    }
