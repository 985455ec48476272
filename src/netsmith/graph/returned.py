"""The form in which a module call hands a tensor back, in words that another module can follow."""

from __future__ import annotations

from typing import Any, NamedTuple

from netsmith.graph.flow import ModuleCall, Value

_NESTED = -1
"""Stands for an argument inside another one."""


class UnknownForm(NamedTuple):
    """Something that was returned and that nothing else can stand for."""

    what: str


def returned(call: ModuleCall, output: Value, source: Value) -> Any:
    """Return what a call gave back, with ``source``, one of its arguments, in the place of its output.

    The words are those of :class:`netsmith.layers.PassThrough`; what is no argument becomes ``None``.
    """
    places: dict[int, int | str] = {}
    arguments: list[tuple[int | str, Any]] = [*enumerate(call.arguments), *call.keywords.items()]
    for place, given in arguments:
        if isinstance(given, Value):
            places.setdefault(given.number, place)
    places[output.number] = places.get(source.number, _NESTED)
    return _form(call.result, places)


def _form(result: Any, places: dict[int, int | str]) -> Any:
    if isinstance(result, Value):
        place = places.get(result.number)
        return UnknownForm("a tensor of a nested argument") if place == _NESTED else place
    if result is None:
        return None
    if type(result) is tuple:
        items = [_form(item, places) for item in result]
        return next((item for item in items if isinstance(item, UnknownForm)), items)
    if type(result) is dict:
        named = {name: _form(item, places) for name, item in result.items()}
        return next((item for item in named.values() if isinstance(item, UnknownForm)), named)
    return UnknownForm(f"a {type(result).__name__}, which nothing else can stand for")
