"""The integers that a user's modules keep, made traceable while a model runs.

They stand in attributes, in tuples and lists, and in plain objects (a configuration that all modules share).
Every module looks at a copy of its own of such an object, so that each use of a size has one module to mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from netsmith.graph.sizes import Attribute, TracedInt
from netsmith.plain_objects import is_plain

if TYPE_CHECKING:
    from netsmith.graph.tracer import Tracer

DEPTH = 2
"""How deep in objects that hold objects sizes are looked for."""


@contextmanager
def traced_attributes(tracer: Tracer, modules: Iterable[nn.Module]) -> Iterator[None]:
    """Make the integer attributes of a user's own modules traceable for a while.

    Of the modules of ``torch.nn`` it is known what their attributes mean; only those are watched that compare
    sizes in Python, or hand them on, and have no weights to tell them from.
    """
    watch = _Watch(tracer)
    replaced: list[tuple[nn.Module, str, Any, Any]] = []
    try:
        for module in modules:
            if is_torch_module(module) and not _sized_by_attributes_alone(module):
                continue
            path = tracer.module_names.get(id(module), "")
            for name, value in module.__dict__.items():
                traced = watch.traced(path, name, value)
                if traced is not None:
                    replaced.append((module, name, value, traced))
        for module, name, _, traced in replaced:
            module.__dict__[name] = traced
        yield
    finally:
        for module, name, value, traced in replaced:
            if module.__dict__.get(name) is traced:
                module.__dict__[name] = value
        tracer.objects_written |= watch.written()


class _Watch:
    """Makes traceable forms of values, and remembers those of objects."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._sizes: dict[int, list[tuple[str, Any]]] = {}
        self._objects: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def traced(self, path: str, name: str, value: Any, depth: int = DEPTH) -> Any:
        """Return the traceable form of a value that is or holds integers; ``None`` for anything else."""
        kind = type(value)
        if kind is int:
            return TracedInt(value, Attribute(path, name, value), self._tracer) if value > 1 else None
        if kind in (tuple, list, torch.Size):
            return self._sequence(path, name, value) if _counts(value) else None
        if depth and self._tracer.watches_objects and _has_attributes(kind):  # type: ignore[arg-type]
            return self._object(path, name, value, depth)
        return None

    def _sequence(self, path: str, name: str, value: Any) -> Any:
        return type(value)(
            TracedInt(item, Attribute(path, name, item, position), self._tracer) if item > 1 else item
            for position, item in enumerate(value)
        )

    def _object(self, path: str, name: str, value: Any, depth: int) -> Any:
        candidates = self._sizes.get(id(value))
        if candidates is None:
            candidates = [(key, item) for key, item in vars(value).items() if _may_hold_sizes(item)]
            self._sizes[id(value)] = candidates
        new = {key: self.traced(path, f"{name}.{key}", item, depth - 1) for key, item in candidates}
        new = {key: item for key, item in new.items() if item is not None}
        if not new:
            return None
        made = object.__new__(type(value))
        vars(made).update(vars(value))
        vars(made).update(new)
        self._objects.append((vars(made), dict(vars(made))))
        return made

    def written(self) -> bool:
        """Whether the code wrote into an object: then modules may speak through it, and need the same one."""
        return any(
            now.keys() != before.keys() or any(now[key] is not before[key] for key in now)
            for now, before in self._objects
        )


def _may_hold_sizes(value: Any) -> bool:
    kind = type(value)
    return (kind is int and value > 1) or (kind in (tuple, list) and _counts(value)) or _has_attributes(kind)  # type: ignore[arg-type]


def _counts(value: Any) -> bool:
    return all(type(item) is int for item in value) and any(item > 1 for item in value)


@cache
def _has_attributes(kind: type) -> bool:
    return kind.__module__.partition(".")[0] not in ("builtins", "torch", "numpy") and is_plain(kind)


def _sized_by_attributes_alone(module: nn.Module) -> bool:
    return isinstance(module, nn.Transformer) or (isinstance(module, nn.RMSNorm) and module.weight is None)


def is_torch_module(module: nn.Module) -> bool:
    """Whether a module's class (or the one a parametrization wraps) comes with PyTorch itself."""
    return _is_torch_class(type(module))  # type: ignore[arg-type]


@cache
def _is_torch_class(kind: type) -> bool:
    wrapped = next((cls for cls in kind.__mro__ if cls.__module__ != "torch.nn.utils.parametrize"), kind)
    return wrapped.__module__.startswith("torch.nn.")
