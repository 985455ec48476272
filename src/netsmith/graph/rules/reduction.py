"""Operators that reduce dimensions: over the channels that are left, when channels go."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed
from netsmith.graph.rules.elementwise import pointwise
from netsmith.graph.rules.indexing import unknown
from netsmith.graph.tracer import Call, Tracer


def _dims(call: Call, position: int, rank: int) -> list[int]:
    dims = call.argument(position, "dim")
    if dims is None or dims == []:
        return list(range(rank))
    return [int(dim) % rank for dim in (dims if isinstance(dims, (list, tuple)) else [dims])]


def _reduce(tracer: Tracer, call: Call, dims: list[int]) -> Any:
    """Reduce dimensions of the first argument, once however many outputs say what came of it."""
    tensor = call.args[0]
    axes = tracer.axes(tensor)
    for dim in dims:
        tracer.read(call, tensor, dim, statistic=True)
    left = tuple(axis for i, axis in enumerate(axes) if i not in dims)
    kept = tuple(fixed(1, "a reduced dimension") if i in dims else axis for i, axis in enumerate(axes))
    if isinstance(call.output, Tensor):
        return kept if call.output.dim() == len(axes) else left
    return [kept if output.dim() == len(axes) else left for output in call.output]


def reduce(tracer: Tracer, call: Call) -> Any:
    """Sums, means, extrema, variances: ``(tensor, dim, ...)``."""
    tensor: Tensor = call.args[0]
    return _reduce(tracer, call, _dims(call, 1, tensor.dim())) if tensor.dim() else ()


def vector_norm(tracer: Tracer, call: Call) -> Any:
    """``linalg_vector_norm(tensor, ord, dim)``."""
    tensor: Tensor = call.args[0]
    return _reduce(tracer, call, _dims(call, 2, tensor.dim()))


def position_sensitive(tracer: Tracer, call: Call) -> Any:
    """Softmax, cumulative sums, sorting, arg-extrema: the result depends on every index of the dimension."""
    tensor: Tensor = call.args[0]
    axes = list(tracer.axes(tensor))
    if not axes:
        return unknown(tracer, call)
    dim = call.argument(1, "dim", -1)
    if not isinstance(dim, int) or isinstance(dim, bool):
        return unknown(tracer, call)
    dim %= len(axes)
    name = call.function.overloadpacket.__name__.strip("_")
    axes[dim] = tracer.freeze(axes[dim], f"{name} over it")

    def axes_of(output: Tensor) -> Axes:
        if output.dim() < len(axes):
            return tuple(axis for i, axis in enumerate(axes) if i != dim)
        return tuple(_resized(axis, size) for axis, size in zip(axes, output.shape, strict=True))

    if isinstance(call.output, Tensor):
        return axes_of(call.output)
    return [axes_of(output) for output in call.output]


def extremum(tracer: Tracer, call: Call) -> Any:
    """``max`` and ``min``: of all entries, of two tensors, or along one dimension with where they are.

    Most code asks for the values alone; then the dimension is reduced like any other.
    """
    if len(call.args) == 1 and not call.kwargs:
        return reduce(tracer, call)
    if len(call.tensors) > 1:
        return pointwise(tracer, call)
    tensor: Tensor = call.args[0]
    if not tensor.dim():
        return unknown(tracer, call)
    axis = tracer.axes(tensor)[_dims(call, 1, tensor.dim())[0]]
    tracer.holds_positions(call.output[1], axis, f"{call.function.overloadpacket.__name__} over it")
    return reduce(tracer, call)


def _resized(axis: Dim, size: int) -> Dim:
    return axis if axis.size == size else fixed(size, axis.reason)


RULES = {
    **dict.fromkeys(
        (
            "sum", "mean", "amax", "amin", "var", "std", "prod", "any", "all",
            "logsumexp", "nansum", "var_mean", "std_mean", "count_nonzero", "aminmax",
        ),
        reduce,
    ),
    **dict.fromkeys(("linalg_vector_norm", "norm"), vector_norm),
    **dict.fromkeys(
        (
            "softmax", "cumsum", "cumprod", "sort", "argmax",
            "argmin", "argsort", "logcumsumexp", "median", "mode",
        ),
        position_sensitive,
    ),
    **dict.fromkeys(("max", "min"), extremum),
}  # fmt: skip
