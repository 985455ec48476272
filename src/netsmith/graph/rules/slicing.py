"""Operators that take consecutive indices of a dimension: slices and splits.

Each part keeps its own channels, at least one of them. What the code cuts at must then follow: a size
computed from tensors or kept in an attribute does, a number written in the code holds what it counts.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

from netsmith.graph.axes import Axes, Dim, fixed, take
from netsmith.graph.sizes import TracedInt
from netsmith.graph.tracer import Call, Tracer

FIXED_POSITION = "sliced at a fixed position"


def pieces(tracer: Tracer, axis: Dim, sizes: list[int]) -> list[Dim]:
    """Cut a dimension into consecutive pieces.

    Pieces follow one by one the sizes the code gave for them. Where it gave one for all, they stay equal when
    each loses the same positions, so they are tied position by position.
    """
    if len(sizes) == 1:
        return [axis]
    listed = all(isinstance(tracer.given.get(f"split.{i}"), TracedInt) for i in range(len(sizes)))
    if listed or len(set(sizes)) > 1:
        ends = list(accumulate(sizes, initial=0))
        parts = [_part(tracer, axis, slice(start, end)) for start, end in pairwise(ends)]
        return [_piece(tracer, part, f"split.{position}") for position, part in enumerate(parts)]
    if not axis.owners:
        return [
            tracer.sized_by_code(fixed(size, axis.reason), f"split.{position}")
            for position, size in enumerate(sizes)
        ]
    which, within = tracer.factor(axis, [len(sizes), sizes[0]])
    tracer.freeze(which, "the pieces of a split")
    for position in range(len(sizes)):
        within = tracer.sized_by_code(within, f"split.{position}")
    return [within] * len(sizes)


def _piece(tracer: Tracer, part: Dim, slot: str) -> Dim:
    known = tracer.given.get(slot) is not None
    return tracer.sized_by_code(part, slot) if known else tracer.freeze(part, FIXED_POSITION)


def split(tracer: Tracer, call: Call) -> list[Axes]:
    """``split``, ``chunk`` and ``split_with_sizes``."""
    call.operation.kind = "view"
    axes = tracer.axes(call.args[0])
    dim = int(call.argument(2, "dim", 0)) % len(axes)
    parts = pieces(tracer, axes[dim], [tensor.shape[dim] for tensor in call.output])
    return [(*axes[:dim], part, *axes[dim + 1 :]) for part in parts]


def slice_(tracer: Tracer, call: Call) -> Axes:
    """A range of a dimension: what lies before a cut is as long as the code says, the rest is free."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.argument(1, "dim", 0)) % len(axes)
    axis, size = axes[dim], call.output.shape[dim]
    if size == axis.size:
        tracer.take(axis, slice(None))
        axes[dim] = tracer.sized_by_code(axis, "length")
        return tuple(axes)
    start, end = call.argument(2, "start") or 0, call.argument(3, "end")
    end = axis.size if end is None else end
    step = int(call.argument(4, "step", 1))
    if step != 1:
        axes[dim] = _stride(tracer, axis, start, step, size)
        return tuple(axes)
    for name, position in (("start", start), ("end", end)):
        _cut_at(tracer, axis, position, ("cut", dim, name))
    tracer.take(axis, slice(start, end))
    axes[dim] = tracer.sized_by_code(_part(tracer, axis, slice(start, end)), "length")
    return tuple(axes)


def _stride(tracer: Tracer, axis: Dim, start: int, step: int, size: int) -> Dim:
    """Every so-manieth index: where the steps fill the dimension, what lies in one step goes together."""
    if axis.owners and 0 <= start < step and size * step == axis.size:
        each, within = tracer.factor(axis, [size, step])
        tracer.freeze(within, FIXED_POSITION)
        return each
    tracer.freeze(axis, FIXED_POSITION)
    return fixed(size, FIXED_POSITION if axis.owners else axis.reason)


def _part(tracer: Tracer, axis: Dim, where: slice) -> Dim:
    part = take(axis, where)
    if part.owners:
        tracer.constraints.parts.append(part)
    return part


def _cut_at(tracer: Tracer, axis: Dim, position: int, slot: tuple[str, int, str]) -> None:
    """A cut at a position counted from either end: what it counts stays as long as that."""
    given = tracer.given.get(slot)
    computed = isinstance(given, TracedInt)
    if not axis.owners or position == 0 or (abs(position) >= axis.size and not computed):
        return
    counted = take(axis, slice(None, position) if position > 0 else slice(position, None))
    if not isinstance(given, TracedInt) or counted.size != abs(int(given)):
        tracer.freeze(counted, FIXED_POSITION)
    else:
        tracer.size_follows(given if position > 0 else -given, counted)


RULES = {
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk"), split),
    "slice": slice_,
}
