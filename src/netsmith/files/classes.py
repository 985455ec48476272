"""Finding classes by name without importing anything."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from netsmith.errors import FileError

Classes = Iterable[type] | Mapping[str, type]

_OURS = ("netsmith.zoo", "netsmith.layers")
"""Packages of netsmith that define modules; they are imported whatever a file asks for."""


def class_name(cls: type) -> str:
    """Return the name of a class as a file keeps it: ``"torch.nn.modules.conv:Conv2d"``."""
    return f"{cls.__module__}:{cls.__qualname__}"


class ClassFinder:
    """Look classes up among those given and those the process has already imported.

    Args:
        classes: further classes, by their own name, or a mapping from the name in the file to the class.
    """

    def __init__(self, classes: Classes = ()) -> None:
        named = dict(classes) if isinstance(classes, Mapping) else {class_name(c): c for c in _list(classes)}
        self._given = named
        # A class may have moved since the file was written: its bare name will do when it is the only one.
        bare: dict[str, list[type]] = {}
        for cls in named.values():
            bare.setdefault(cls.__name__, []).append(cls)
        self._bare = {name: found[0] for name, found in bare.items() if len(found) == 1}

    def given(self, name: str) -> bool:
        """Whether the caller gave a class for this name."""
        return name in self._given or name.rpartition(":")[2].rpartition(".")[2] in self._bare

    def find(self, name: str, base: type) -> type | None:
        """Return the subclass of ``base`` that is called ``name``, or None; nothing is imported for it."""
        bare = name.rpartition(":")[2].rpartition(".")[2]
        found = self._given.get(name) or _loaded(name) or self._bare.get(bare)
        return found if isinstance(found, type) and issubclass(found, base) else None


def _list(classes: Iterable[type]) -> list[type]:
    if isinstance(classes, type):
        return [classes]
    found = list(classes)
    for cls in found:
        if not isinstance(cls, type):
            raise FileError(f"classes= got {cls!r}, expected classes; pass for example classes=[MyNetwork]")
    return found


def _loaded(name: str) -> Any:
    module_name, _, qualified = name.partition(":")
    if module_name not in sys.modules and module_name.startswith("netsmith."):
        for package in _OURS:
            importlib.import_module(package)
    if module_name not in sys.modules:
        return None
    # Straight from the namespaces: getattr could run a module's __getattr__ or a lazy import.
    namespace = object.__getattribute__(sys.modules[module_name], "__dict__")
    found: Any = None
    for part in qualified.split("."):
        found = namespace.get(part)
        if not isinstance(found, type):
            return None
        namespace = vars(found)
    return found
