"""Bounds of the slices a user's code takes, by the dimension they fall on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from netsmith.graph.sizes import TracedInt

if TYPE_CHECKING:
    from netsmith.graph.tracer import Tracer

Bounds = dict[Any, Any]


def slice_bounds(tracer: Tracer, tensor: Tensor, index: Any) -> Bounds:
    """Return the bounds of ``tensor[index]`` under ``("cut", dim, "start")`` and ``("cut", dim, "end")``.

    ``dim`` counts the dimensions as they are when the slice is taken: an integer before it has removed its
    own, ``None`` has added one. A slice that comes to the whole dimension takes no operator; its bound is
    required to stay the whole here.
    """
    found: Bounds = {}
    for own, dim, item in _slices(tensor.dim(), index if isinstance(index, tuple) else (index,)):
        found |= {("cut", dim, "start"): item.start, ("cut", dim, "end"): item.stop}
        axis, stop = tracer.axes(tensor)[own], item.stop
        # A traced size notes what it is compared with; as a plain one it does not take this for the user's.
        from_the_start = item.start is None or (isinstance(item.start, int) and int(item.start) == 0)
        if axis.owners and from_the_start and isinstance(stop, TracedInt) and int(stop) == axis.size:
            tracer.size_follows(stop, axis)
    return found


def _slices(rank: int, items: tuple[Any, ...]) -> Iterator[tuple[int, int, slice]]:
    """Yield each plain slice with the dimension of the tensor, and of what is left of it by then."""
    used = sum(item.dim() if _is_mask(item) else item is not None and item is not Ellipsis for item in items)
    own = dim = 0
    for item in items:
        if item is Ellipsis:
            own, dim = own + rank - used, dim + rank - used
        elif item is None:
            dim += 1
        elif type(item) is int or isinstance(item, TracedInt):
            own += 1
        elif isinstance(item, slice):
            if item.step in (None, 1):
                yield own, dim, item
            own, dim = own + 1, dim + 1
        else:
            reach = item.dim() if _is_mask(item) else 1
            own, dim = own + reach, dim + reach


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and not item.dtype.is_floating_point and item.element_size() == 1


def narrow_bounds(tensor: Tensor, dim: int, start: Any, length: Any) -> Bounds:
    """Return the bounds of ``tensor.narrow(dim, start, length)``, and its length: no slice is cut short."""
    place = dim % tensor.dim()
    return {("cut", place, "start"): start, ("cut", place, "end"): start + length, "length": length}
