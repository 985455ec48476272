"""Plain objects: instances that are their attributes and nothing more, such as a network's configuration."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


class _Plain:
    pass


_LAYOUT = ("__basicsize__", "__itemsize__", "__dictoffset__")
_USUAL = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__")
_ABSENT = frozenset({"__del__", "__call__", "__setstate__", "__getnewargs__", "__getnewargs_ex__"})


def is_plain(kind: type) -> bool:
    """Whether instances of a class are their ``__dict__``: no slots, nothing of its own on copying."""
    layout = all(getattr(kind, name) == getattr(_Plain, name) for name in _LAYOUT)
    own = {name for cls in kind.__mro__[:-1] for name in vars(cls)}
    usual = all(getattr(kind, name) is getattr(object, name) for name in _USUAL)
    return layout and usual and not own & _ABSENT and not issubclass(kind, nn.Module)


def is_named_tuple(kind: type) -> bool:
    """Whether a class is a tuple with names for its items, as ``typing.NamedTuple`` makes it."""
    return (
        kind.__bases__ == (tuple,)
        and isinstance(getattr(kind, "_fields", None), tuple)
        and not (set(vars(kind)) & _ABSENT - {"__getnewargs__"})
    )


def comes_with(name: str, modules: Iterable[str]) -> bool:
    """Whether the class called ``name`` is from a package that one of the classes ``modules`` is from."""
    return _package(name) in {_package(module) for module in modules}


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
