"""Look-ups by index, new tensors, and operators nobody wrote a rule for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed
from netsmith.graph.pointers import CLASSES, looked_up
from netsmith.graph.rules.elementwise import broadcast, pointwise
from netsmith.graph.rules.joining import only_tensors
from netsmith.graph.tracer import MADE_HERE, Call, Tracer

BY_INDEX = "looked up by index"


def unknown(tracer: Tracer, call: Call) -> Any:
    """Freeze every dimension an operator without a rule touches."""
    reason = f"operator {call.function.overloadpacket} has no rule"
    for tensor in call.tensors:
        for dim in tracer.axes(tensor):
            tracer.freeze(dim, reason)
    outputs = [call.output] if isinstance(call.output, Tensor) else only_tensors(call.output)
    axes = [tuple(fixed(size, reason) for size in output.shape) for output in outputs]
    return axes[0] if isinstance(call.output, Tensor) else axes


def made(tracer: Tracer, call: Call) -> Axes:
    """A new tensor whose values say nothing of its indices: a dimension follows where its size does."""
    shape = call.output.shape
    axes = [tracer.made_here(size, position) for position, size in enumerate(shape)]
    if CLASSES in tracer.given:
        axes[-1] = tracer.sized_by_code(tracer.constraints.fresh(shape[-1]), CLASSES)
    return tuple(axes)


def one_hot(tracer: Tracer, call: Call) -> Axes:
    """``eq(positions, numbers)`` of a one-hot encoding: one channel per position there is."""
    axes = pointwise(tracer, call)
    pointed = tracer.pointers.of(call.args[0]) if CLASSES in tracer.given else None
    if pointed is None or pointed.size != call.output.shape[-1]:
        return axes  # type: ignore[no-any-return]
    return (*axes[:-1], tracer.sized_by_code(pointed, CLASSES).without_leaf())


def ordered(tracer: Tracer, call: Call) -> Axes:
    """A new tensor whose values depend on the index."""
    return tuple(fixed(size, MADE_HERE) for size in call.output.shape)


def embedding(tracer: Tracer, call: Call) -> Axes:
    """Rows of a table: the rows stay, the width is free."""
    rows, width = tracer.axes(call.args[0])
    looked_up(tracer, rows, call.args[1], BY_INDEX)
    tracer.produce(width.leaf)
    return (*tracer.axes(call.args[1]), width.without_leaf())


def index_select(tracer: Tracer, call: Call) -> Axes:
    """Some indices of one dimension, given by a tensor."""
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % len(axes)
    looked_up(tracer, axes[dim], call.args[2], BY_INDEX)
    wanted = tracer.axes(call.args[2])
    axes[dim] = wanted[0].without_leaf() if wanted else fixed(1, BY_INDEX)
    return tuple(axes)


def index(tracer: Tracer, call: Call) -> Axes:
    """Advanced indexing: the indexed dimensions stay, the others pass.

    The indices bring dimensions of their own: what is not asked for is not looked up.
    """
    axes = tracer.axes(call.args[0])
    indices = list(call.args[1]) + [None] * (len(axes) - len(call.args[1]))
    given = [position for position, item in enumerate(indices) if item is not None]
    if len(given) == 1 and _is_mask(indices[given[0]]):
        return _chosen(tracer, call, axes, given[0], indices[given[0]])
    if any(_is_mask(indices[position]) for position in given):
        return unknown(tracer, call)  # type: ignore[no-any-return]
    for position in given:
        looked_up(tracer, axes[position], indices[position], BY_INDEX)
    # New dimensions stand where the indices do; indices that stand apart put theirs first.
    first = given[0] if given == list(range(given[0], given[-1] + 1)) else 0
    new = call.output.dim() - (len(axes) - len(given))
    shape = call.output.shape[first : first + new]
    wanted = broadcast(tracer, shape, [tracer.axes(indices[position]) for position in given])
    rest = [axis for position, axis in enumerate(axes) if position not in given]
    return (*rest[:first], *(dim.without_leaf() for dim in wanted), *rest[first:])


def _is_mask(index: Tensor) -> bool:
    return index.dtype in (torch.bool, torch.uint8)


def _chosen(tracer: Tracer, call: Call, axes: Axes, first: int, mask: Tensor) -> Axes:
    """Return the entries a mask chooses, laid end to end: what it covers stays, the rest passes."""
    for dim in (*axes[first : first + mask.dim()], *tracer.axes(mask)):
        tracer.freeze(dim, BY_INDEX)
    return (*axes[:first], fixed(call.output.shape[first], BY_INDEX), *axes[first + mask.dim() :])


def gather(tracer: Tracer, call: Call) -> Axes:
    """One entry per index along one dimension; along the others the entries keep their place."""
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % max(len(axes), 1)
    wanted = tracer.axes(call.args[2])
    for position, size in enumerate(call.output.shape):
        if position == dim or size != axes[position].size:
            if position == dim:
                looked_up(tracer, axes[position], call.args[2], BY_INDEX)
            else:
                tracer.freeze(axes[position], BY_INDEX)
            axes[position] = wanted[position].without_leaf()
        else:
            axes[position] = tracer.equate(axes[position], wanted[position]).without_leaf()
    return tuple(axes)


def scatter(tracer: Tracer, call: Call) -> Axes:
    """``(self, dim, index, source, ...)``: entries of the source go to indices of one dimension of self.

    Where they are added up, each is a multiply-accumulate of the sparse matrix that the indices stand for.
    """
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % max(len(axes), 1)
    source = call.argument(3, "src")
    entries = tracer.axes(source) if isinstance(source, Tensor) and source.dim() == len(axes) else None
    places = tracer.axes(call.args[2])
    if len(places) != len(axes):
        for place in places:
            tracer.freeze(place, BY_INDEX)
    for position in range(len(axes)):
        if len(places) == len(axes) and (position == dim or places[position].size != axes[position].size):
            tracer.freeze(places[position], BY_INDEX)
        if position == dim:
            axes[position] = looked_up(tracer, axes[position], call.args[2], BY_INDEX)
        elif entries is None or entries[position].size != axes[position].size:
            tracer.freeze(axes[position], BY_INDEX)
        else:
            axes[position] = tracer.equate(axes[position], entries[position])
            if len(places) == len(axes):
                tracer.equate(axes[position], places[position])
    if entries is not None:
        tracer.freeze(entries[dim], BY_INDEX)
        if _adds(call):
            call.operation.scale = 1
            call.operation.iterations = tuple(entry.without_leaf() for entry in entries)
    return tuple(axes)


def _adds(call: Call) -> bool:
    name = call.operation.name.partition(".")[0].rstrip("_")
    return name in ("scatter_add", "index_add") or call.argument(4, "reduce") in ("sum", "mean")


def index_put(tracer: Tracer, call: Call) -> Any:
    """Advanced assignment: the indexed dimensions stay, the trailing ones keep the indices of the values.

    One value for all that a mask chooses is an elementwise choice: nothing stays for it.
    """
    axes, indices, values = tracer.axes(call.args[0]), list(call.args[1]), tracer.axes(call.args[2])
    given = [position for position, item in enumerate(indices) if item is not None]
    if len(given) == 1 and _is_mask(indices[given[0]]) and call.args[2].numel() == 1:
        first, mask = given[0], tracer.axes(indices[given[0]])
        last = first + len(mask)
        covered = [tracer.equate(axis, other) for axis, other in zip(axes[first:last], mask, strict=True)]
        return (*axes[:first], *covered, *axes[last:])
    reach = sum(item.dim() if item is not None and _is_mask(item) else 1 for item in indices)
    rest = len(axes) - reach
    if given != list(range(len(indices))):
        return unknown(tracer, call)
    chosen = [dim for item in indices if item is not None for dim in tracer.axes(item)]
    for axis in (*axes[:reach], *chosen, *values[: max(len(values) - rest, 0)]):
        tracer.freeze(axis, BY_INDEX)
    tail = [
        _agreed(tracer, axes[-k], values[-k]) if k <= len(values) else axes[-k] for k in range(rest, 0, -1)
    ]
    return (*axes[:reach], *tail)


def _agreed(tracer: Tracer, axis: Dim, value: Dim) -> Dim:
    return tracer.equate(axis, value) if value.size == axis.size else axis


def roll(tracer: Tracer, call: Call) -> Axes:
    """Indices move around in some dimensions, which therefore stay."""
    axes = list(tracer.axes(call.args[0]))
    dims = call.argument(2, "dims", [])
    for dim in dims or range(len(axes)):
        axes[dim] = tracer.freeze(axes[dim], "indices roll over it")
    return tuple(axes)


MADE = ("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty", "empty_strided")
ORDERED = ("arange", "rand", "randn", "randint", "scalar_tensor", "eye", "linspace", "randperm")
SCATTERS = ("scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_reduce")

RULES = {
    **dict.fromkeys(MADE, made),
    **dict.fromkeys((*ORDERED, "tril_indices", "triu_indices"), ordered),
    "eq": one_hot,
    "embedding": embedding,
    "index_select": index_select,
    "index": index,
    "gather": gather,
    "roll": roll,
    **dict.fromkeys(("index_put", "index_put_"), index_put),
    **dict.fromkeys(
        (
            f"{name}{end}"
            for name in (
                "scatter",
                "scatter_add",
                "scatter_reduce",
                "index_add",
                "index_copy",
                "index_reduce",
            )
            for end in ("", "_")
        ),
        scatter,
    ),
}
