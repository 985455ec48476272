"""Look-ups by index, new tensors, and operators nobody wrote a rule for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netsmith.graph.axes import Axes, fixed
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
    return tuple(tracer.made_here(size, position) for position, size in enumerate(call.output.shape))


def ordered(tracer: Tracer, call: Call) -> Axes:
    """A new tensor whose values depend on the index."""
    return tuple(fixed(size, MADE_HERE) for size in call.output.shape)


def embedding(tracer: Tracer, call: Call) -> Axes:
    """Rows of a table: the rows stay, the width is free."""
    rows, width = tracer.axes(call.args[0])
    tracer.freeze(rows, BY_INDEX)
    tracer.produce(width.leaf)
    return (*tracer.axes(call.args[1]), width.without_leaf())


def index_select(tracer: Tracer, call: Call) -> Axes:
    """Some indices of one dimension, given by a tensor."""
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % len(axes)
    tracer.freeze(axes[dim], BY_INDEX)
    axes[dim] = fixed(call.output.shape[dim], BY_INDEX)
    return tuple(axes)


def index(tracer: Tracer, call: Call) -> Axes:
    """Advanced indexing: the indexed dimensions stay, the others pass when they are contiguous."""
    axes = tracer.axes(call.args[0])
    indices = list(call.args[1]) + [None] * (len(axes) - len(call.args[1]))
    given = [position for position, item in enumerate(indices) if item is not None]
    contiguous = given == list(range(given[0], given[-1] + 1))
    if not contiguous or any(indices[p].dtype in (torch.bool, torch.uint8) for p in given):
        return unknown(tracer, call)  # type: ignore[no-any-return]
    for position in given:
        tracer.freeze(axes[position], BY_INDEX)
    new = call.output.dim() - (len(axes) - len(given))
    shape = call.output.shape[given[0] : given[0] + new]
    return (*axes[: given[0]], *(fixed(size, BY_INDEX) for size in shape), *axes[given[-1] + 1 :])


MADE = ("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty", "empty_strided")
ORDERED = ("arange", "rand", "randn", "randint", "scalar_tensor", "eye", "linspace", "randperm")

RULES = {
    **dict.fromkeys(MADE, made),
    **dict.fromkeys((*ORDERED, "tril_indices", "triu_indices"), ordered),
    "embedding": embedding,
    "index_select": index_select,
    "index": index,
}
