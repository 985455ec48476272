"""A model back from plain data, without calling a constructor, a setter or ``forward``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from netsmith.errors import FileError
from netsmith.files.architecture import BASE_STATE
from netsmith.files.classes import ClassFinder
from netsmith.files.values import MissingClassError, decode
from netsmith.plain_objects import comes_with, is_named_tuple, is_plain

_TENSORS = ("parameters", "buffers")


class _Reader:
    """What the numbers and names in an architecture stand for."""

    def __init__(
        self,
        architecture: dict[str, Any],
        modules: Sequence[nn.Module | None],
        tensors: Sequence[Tensor],
        finder: ClassFinder,
    ) -> None:
        self.architecture, self.modules, self.tensors, self.finder = architecture, modules, tensors, finder
        self.objects: dict[int, Any] = {}

    def module(self, index: int) -> nn.Module:
        found = _at(self.modules, index)
        if found is None:
            raise FileError(
                "into= cannot take this file: an attribute points at a module that is registered nowhere"
            )
        return found  # type: ignore[no-any-return]

    def tensor(self, index: int) -> Tensor:
        return _at(self.tensors, index)  # type: ignore[no-any-return]

    def object(self, index: int) -> Any:
        if index not in self.objects:
            entry = _at(self.architecture.get("objects", ()), index)
            made: Any = object.__new__(self.plain_class(entry["class"]))
            self.objects[index] = made
            vars(made).update((str(name), decode(value, self)) for name, value in entry["attributes"])
        return self.objects[index]

    def plain_class(self, name: str) -> type:
        """Return the class of a plain object or named tuple; it comes with the network or was given."""
        kind = self.class_(name, object)
        modules = [entry["class"] for entry in self.architecture["modules"]]
        if not (self.finder.given(name) or comes_with(name, modules)):
            raise MissingClassError(name)
        if not (is_plain(kind) or is_named_tuple(kind)):
            raise TypeError(f"{name} is not a class of plain objects")
        return kind

    def class_(self, name: str, base: type) -> type:
        found = self.finder.find(name, base)
        if found is None:
            raise MissingClassError(name)
        return found


def missing_classes(architecture: dict[str, Any], finder: ClassFinder) -> list[str]:
    """Return the names of module classes that :func:`build` would need and ``finder`` does not find."""
    names = dict.fromkeys(entry["class"] for entry in architecture["modules"])
    return [name for name in names if finder.find(name, nn.Module) is None]


def build(architecture: dict[str, Any], tensors: Sequence[Tensor], finder: ClassFinder) -> nn.Module:
    """Return the model of an ``architecture`` that :func:`~netsmith.files.architecture.describe` wrote.

    Raises:
        MissingClassError: a class it needs is not there.
        Exception: the architecture is not what ``describe`` writes (TypeError, ValueError, LookupError, …).
    """
    entries = architecture["modules"]
    modules: list[nn.Module] = []
    for entry in entries:
        cls = finder.find(entry["class"], nn.Module)
        if cls is None:
            raise MissingClassError(entry["class"])
        modules.append(object.__new__(cls))
        vars(modules[-1]).update(vars(nn.Module()))
    reader = _Reader(architecture, modules, tensors, finder)
    for entry, module in zip(entries, modules, strict=True):
        vars(module).update(_state(entry, reader))
    _mark_tensors(architecture, reader)
    for entry, module in zip(entries, modules, strict=True):
        if entry["parametrized"]:
            _parametrize(module)
    return modules[0]


def fill(
    architecture: dict[str, Any], tensors: Sequence[Tensor], finder: ClassFinder, into: nn.Module
) -> None:
    """Give ``into``, an instance of the original architecture, the stored tensors, sizes and modes.

    What the file could not hold (functions, hooks) stays as it is in the instance.

    Raises:
        FileError: its modules, parameters or buffers are not those of the file; the instance is as it was.
        Exception: the architecture is not what ``describe`` writes.
    """
    modules = _matched(architecture["modules"], into)
    reader = _Reader(architecture, modules, tensors, finder)
    matched = [(e, m) for e, m in zip(architecture["modules"], modules, strict=True) if m is not None]
    states = [_state(entry, reader, kept=vars(module)) for entry, module in matched]
    _mark_tensors(architecture, reader)
    for (_, module), state in zip(matched, states, strict=True):
        vars(module).update(state)


def _state(entry: dict[str, Any], reader: _Reader, kept: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what goes into one module's ``__dict__``; a missing class leaves the attribute of ``kept``."""
    state: dict[str, Any] = {
        "training": bool(entry["training"]),
        "_non_persistent_buffers_set": set(entry["not_persistent"]),
        "_modules": {k: None if i is None else reader.module(i) for k, i in entry["children"]},
    }
    for kind in _TENSORS:
        state[f"_{kind}"] = {name: decode(value, reader) for name, value in entry[kind]}
        if not all(v is None or isinstance(v, Tensor) for v in state[f"_{kind}"].values()):
            raise TypeError(f"{kind} that are not tensors")
    for name, value in entry["attributes"]:
        if name in BASE_STATE or not isinstance(name, str):
            raise ValueError(f"an attribute called {name!r}")
        try:
            state[name] = decode(value, reader)
        except MissingClassError:
            if kept is None or name not in kept:
                raise
    return state


def _mark_tensors(architecture: dict[str, Any], reader: _Reader) -> None:
    for entry, tensor in zip(architecture["tensors"], reader.tensors, strict=True):
        for name, value in entry.get("attributes", ()):
            vars(tensor)[name] = decode(value, reader)


def _parametrize(module: nn.Module) -> None:
    # register_parametrization would recompute the stored values through right_inverse.
    parametrize._inject_new_class(module)
    for name in vars(module._modules["parametrizations"])["_modules"]:
        parametrize._inject_property(module, name)


def _matched(entries: Sequence[dict[str, Any]], into: nn.Module) -> list[nn.Module | None]:
    """Return the module of ``into`` for every entry, walking both trees side by side."""
    modules: list[nn.Module | None] = [None] * len(entries)
    waiting: list[tuple[int, nn.Module]] = [(0, into)]
    while waiting:
        index, module = waiting.pop()
        entry = _at(entries, index)
        if modules[index] is module:
            continue
        if modules[index] is not None:
            raise FileError(
                f"into= does not match the file: module {entry['path']!r} is shared there and not here"
            )
        modules[index] = module
        for kind, found in (*((k, vars(module)[f"_{k}"]) for k in _TENSORS), ("children", module._modules)):
            stored = [name for name, _ in entry[kind]]
            if set(stored) != set(found):
                raise FileError(
                    f"into= does not match the file: module {entry['path']!r} has the {kind} {stored} there "
                    f"and {list(found)} here; give an instance of the original architecture"
                )
        for name, child in entry["children"]:
            here = module._modules[name]
            if child is not None and here is not None:
                waiting.append((child, here))
    return modules


def _at(table: Sequence[Any], index: Any) -> Any:
    if type(index) is not int or not 0 <= index < len(table):
        raise ValueError(f"entry {index!r} of {len(table)}")
    return table[index]
