"""Attributes of modules by a dotted name: ``heads``, or ``config.heads`` in a plain object a module holds."""

from __future__ import annotations

from typing import Any

from torch import nn


def held(module: nn.Module, name: str, default: Any = None) -> Any:
    """Return an attribute, looked up from one object to the next; ``default`` where there is none."""
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            return default
        found = getattr(found, part)
    return found


def put(module: nn.Module, name: str, value: Any) -> None:
    """Set an attribute. An object that holds it is copied first: other modules may hold the same one."""
    first, _, rest = name.partition(".")
    setattr(module, first, _changed(getattr(module, first), rest, value) if rest else value)


def _changed(holder: Any, name: str, value: Any) -> Any:
    first, _, rest = name.partition(".")
    made = object.__new__(type(holder))
    vars(made).update(vars(holder))
    vars(made)[first] = _changed(vars(holder)[first], rest, value) if rest else value
    return made
