"""A model's module tree as plain data."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from netsmith.files.classes import class_name
from netsmith.files.tensors import check_storable, describe_tensors
from netsmith.files.values import UnstorableError, encode

BASE_STATE = frozenset(vars(nn.Module()))
"""Attributes every nn.Module has; they are rebuilt, not stored."""
_RUNNING_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip
_BUFFER_MARKS = ("_is_buffer", "persistent")
"""What nn.Buffer leaves on a tensor; once it is registered the module's own table of buffers says it."""
_LOADING_HOOKS = (
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


@dataclass
class Description:
    """What a model is, as plain data."""

    architecture: dict[str, Any]
    content: dict[str, Tensor]
    """What the tensors hold, by key."""
    omitted: list[str]
    """What could not be stored, in words: a model with any of these cannot be rebuilt from the file alone."""


@dataclass
class _Writer:
    """Numbers modules and tensors as they are met; the same object gets the same number."""

    modules: list[tuple[str, nn.Module]] = field(default_factory=list)
    tensors: list[tuple[str, Tensor]] = field(default_factory=list)
    objects: list[tuple[str, Any]] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    own: dict[int, list[Any]] = field(default_factory=dict)
    """Attributes that tensors carry themselves, by the tensor's number."""
    place: str = ""

    def module(self, value: nn.Module) -> int:
        return self._number(self.modules, value)

    def object(self, value: Any) -> int:
        return self._number(self.objects, value)

    def tensor(self, value: Tensor) -> int:
        check_storable(value)
        if value._backward_hooks:
            raise UnstorableError("a tensor with a gradient hook, which is code (remove it first)")
        new = id(value) not in self.numbers
        number = self._number(self.tensors, value)
        own = {k: v for k, v in vars(value).items() if k not in _BUFFER_MARKS}
        if new and own:
            self.own[number] = [[k, encode(v, self)] for k, v in own.items()]
        return number

    def _number(self, table: list[tuple[str, Any]], value: Any) -> int:
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(table)
            table.append((self.place, value))
        return self.numbers[id(value)]


def describe(model: nn.Module) -> Description:
    """Return the module tree of ``model`` as plain data, what its tensors hold, and what was left out."""
    writer, omitted, entries = _Writer(), list[str](), list[dict[str, Any]]()
    for writer.place, module in model.named_modules():
        writer.module(module)
    # Registered names first, so that the weights are stored under those of the state_dict.
    for writer.place, tensor in (*model.named_parameters(), *model.named_buffers()):
        with contextlib.suppress(UnstorableError):
            writer.tensor(tensor)
    # Attributes can lead to modules that are registered nowhere, and objects to further ones; the tables grow
    # while they are read.
    objects: list[dict[str, Any]] = []
    while len(entries) < len(writer.modules) or len(objects) < len(writer.objects):
        for path, module in writer.modules[len(entries) :]:
            entries.append(_describe_module(path, module, writer, omitted))
        for path, value in writer.objects[len(objects) :]:
            attributes = [pair for k, v in vars(value).items() for pair in _item(path, k, v, writer, omitted)]
            objects.append({"class": class_name(type(value)), "attributes": attributes})
    tensors, content = describe_tensors(writer.tensors)
    for number, own in writer.own.items():
        tensors[number]["attributes"] = own
    architecture = {"modules": entries, "objects": objects, "tensors": tensors, "omitted": omitted}
    return Description(architecture, content, omitted)


def _describe_module(path: str, module: nn.Module, writer: _Writer, omitted: list[str]) -> dict[str, Any]:
    def item(name: str, value: Any) -> list[Any]:
        return _item(path, name, value, writer, omitted)

    for kind in _RUNNING_HOOKS:
        if hooks := vars(module)[kind]:
            named = f"{kind[1:-1].replace('_', ' ')}s ({len(hooks)})"
            omitted.append(f"{_where(path)} has {named}, which are code (remove them first)")
    _warn_of_loading_hooks(path, module)
    parametrized = parametrize.is_parametrized(module)
    return {
        "path": path,
        "class": class_name(parametrize.type_before_parametrizations(module)),
        "parametrized": parametrized,
        "training": module.training,
        "parameters": [pair for k, v in module._parameters.items() for pair in item(k, v)],
        "buffers": [pair for k, v in module._buffers.items() for pair in item(k, v)],
        "not_persistent": sorted(module._non_persistent_buffers_set),
        "children": [[k, None if v is None else writer.module(v)] for k, v in module._modules.items()],
        "attributes": [pair for k, v in vars(module).items() if k not in BASE_STATE for pair in item(k, v)],
    }


def _item(path: str, name: str, value: Any, writer: _Writer, omitted: list[str]) -> list[Any]:
    """Return ``[[name, value as plain data]]``, or nothing where it cannot be stored, which is noted."""
    writer.place = f"{path}.{name}" if path else name
    try:
        return [[name, encode(value, writer)]]
    except (UnstorableError, RecursionError) as error:
        omitted.append(f"attribute {name!r} of {_where(path)} is {error or 'nested too deeply'}")
        return []


def _warn_of_loading_hooks(path: str, module: nn.Module) -> None:
    hooks = [h for kind in _LOADING_HOOKS for h in vars(module)[kind].values()]
    # torch's own (weight_norm's) only rename the keys of older checkpoints.
    foreign = [h for h in hooks if not _defined_in(h).startswith("torch.nn.")]
    if foreign:
        warnings.warn(
            f"{_where(path)} has {len(foreign)} state_dict hooks; they are code and are not in the file",
            stacklevel=5,
        )


def _defined_in(hook: Any) -> str:
    return str(getattr(getattr(hook, "hook", hook), "__module__", ""))


def _where(path: str) -> str:
    return f"module {path!r}" if path else "the model itself"
