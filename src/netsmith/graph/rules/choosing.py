"""Choosing the largest: among channels that a weight makes, the choice is among those that are left."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, fixed
from netsmith.graph.rules.indexing import unknown
from netsmith.graph.tracer import Call, Tracer

CHOSEN = "the chosen ones"


def topk(tracer: Tracer, call: Call) -> Any:
    """``topk(input, k, dim, ...)``: values, and the positions they were chosen at."""
    tensor, count = call.args[0], int(call.args[1])
    if not tensor.dim():
        return unknown(tracer, call)
    return _choice(tracer, call, int(call.argument(2, "dim", -1)) % tensor.dim(), count)


def _choice(tracer: Tracer, call: Call, dim: int, count: int) -> Any:
    tensor: Tensor = call.args[0]
    axes = tracer.axes(tensor)
    outputs = [call.output] if isinstance(call.output, Tensor) else list(call.output)
    if tracer.made_by_a_weight(axes[dim]):
        tracer.read(call, tensor, dim, statistic=True)
        call.operation.geometry["chosen"] = count
        tracer.pointers.mark(outputs[-1], axes[dim])
    else:
        tracer.freeze(axes[dim], f"{call.operation.name} over it")
    kept = outputs[0].dim() == len(axes)
    result: Axes = (*axes[:dim], *([fixed(count, CHOSEN)] if kept else []), *axes[dim + 1 :])
    return result if isinstance(call.output, Tensor) else [result] * len(outputs)


RULES = {"topk": topk}
