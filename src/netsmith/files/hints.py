"""Type hints as plain data: classes everybody knows, and what ``typing`` builds of them."""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from typing import Any

from torch import Tensor

KNOWN: dict[str, Any] = {
    **{kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, dict, set)},
    "None": type(None),
    "Any": Any,
    "Tensor": Tensor,
    "empty": inspect.Parameter.empty,
}
"""None of them does anything but hold what it is called with."""
_NAMES = {id(kind): name for name, kind in KNOWN.items()}
_GENERIC: dict[str, Any] = {
    **{kind.__name__: kind for kind in (list, tuple, dict, set)},
    **{f"typing.{name}": getattr(typing, name) for name in ("List", "Tuple", "Dict", "Set")},
}


def describe_hint(value: Any) -> Any:
    """Return a type hint as JSON, or ``None`` if it is none that is known here."""
    if id(value) in _NAMES:
        return _NAMES[id(value)]
    origin, of = typing.get_origin(value), typing.get_args(value)
    name = _NAMES.get(id(origin), "")
    if origin in (typing.Union, types.UnionType):
        name = "union"
    elif not isinstance(value, types.GenericAlias):
        name = f"typing.{name.capitalize()}"
    parts = [describe_hint(part) for part in of]
    return [name, *parts] if parts and None not in parts and name in ("union", *_GENERIC) else None


def hint(data: Any) -> Any:
    """Return the type hint that :func:`describe_hint` described.

    Raises:
        LookupError: it describes none.
    """
    if isinstance(data, str):
        return KNOWN[data]
    name, *parts = data
    of = tuple(hint(part) for part in parts)
    return functools.reduce(operator.or_, of) if name == "union" else _GENERIC[name][of]
