"""Operators that rearrange dimensions without looking at values."""

from __future__ import annotations

from math import gcd
from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed, product
from netsmith.graph.rules.indexing import unknown
from netsmith.graph.tracer import FROM_CONSTANT, Call, Tracer


def reshape(tracer: Tracer, axes: Axes, shape: list[int]) -> Axes:
    """Follow a row-major reshape: runs of dimensions with equal products are merged and split."""
    if 0 in shape or any(dim.size == 0 for dim in axes):
        return tuple(fixed(size, "an empty dimension") for size in shape)
    result: list[Dim] = []
    source = [dim for dim in axes if dim.size != 1]
    ones = [dim for dim in axes if dim.size == 1]
    taken = position = 0
    while position < len(shape):
        if shape[position] == 1:
            result.append(ones[0] if ones else fixed(1, "a single channel"))
            position += 1
            continue
        run = [source[taken]]
        sizes = [shape[position]]
        taken, position = taken + 1, position + 1
        have, want = run[0].size, sizes[0]
        while have != want:
            if have < want:
                run.append(source[taken])
                have, taken = have * source[taken].size, taken + 1
            else:
                sizes.append(shape[position])
                want, position = want * shape[position], position + 1
        result.extend(_regroup(tracer, run, sizes))
    return tuple(result)


def _regroup(tracer: Tracer, run: list[Dim], sizes: list[int]) -> Axes:
    """Turn one run of dimensions into dimensions of other sizes with the same product."""
    if len(run) == 1 and len(sizes) == 1:
        return (run[0],)
    if len(sizes) == 1:
        return (product(run),)
    opened = [part for dim in run for part in (dim.parts or (dim,))]
    steps = _steps([dim.size for dim in opened], sizes)
    if steps is not None:
        return _stepwise(tracer, opened, steps)
    return tracer.factor(product(run), sizes)


def _steps(have: list[int], want: list[int]) -> list[list[tuple[int, int]]] | None:
    """Return, per size that is wanted, the (dimension, size) of the leading parts that make it up.

    ``None`` where a dimension would have to be split at a place that its row-major order does not have.
    """
    left = list(have)
    position = 0
    result: list[list[tuple[int, int]]] = []
    for size in want:
        parts: list[tuple[int, int]] = []
        while size > 1:
            if left[position] == 1:
                position += 1
                continue
            part = gcd(size, left[position])
            if part != min(size, left[position]):
                return None
            parts.append((position, part))
            size //= part
            left[position] //= part
        result.append(parts)
    return result


def _stepwise(tracer: Tracer, dims: list[Dim], steps: list[list[tuple[int, int]]]) -> Axes:
    """Split dimensions at the steps and lay what belongs together into one."""
    sizes: list[list[int]] = [[] for _ in dims]
    for position, size in (part for parts in steps for part in parts):
        sizes[position].append(size)
    factors = [iter(tracer.factor(dim, of)) for dim, of in zip(dims, sizes, strict=True)]
    return tuple(product([next(factors[position]) for position, _ in parts]) for parts in steps)


def view(tracer: Tracer, call: Call) -> Axes:
    """``view``, ``reshape`` and their copies."""
    call.operation.kind = "view"
    axes = reshape(tracer, tracer.axes(call.args[0]), list(call.output.shape))
    return tuple(tracer.sized_by_code(dim, position) for position, dim in enumerate(axes))


def permute(tracer: Tracer, call: Call) -> Axes:
    """Any order of the dimensions."""
    call.operation.kind = "view"
    axes = tracer.axes(call.args[0])
    return tuple(axes[dim] for dim in call.args[1])


def transpose(tracer: Tracer, call: Call) -> Axes:
    """Two dimensions change places."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    if len(axes) < 2:
        return tuple(axes)
    first, second = (0, 1) if len(call.args) < 3 else (call.args[1], call.args[2])
    axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def squeeze(tracer: Tracer, call: Call) -> Axes:
    """Dimensions of size one go."""
    call.operation.kind = "view"
    axes = tracer.axes(call.args[0])
    dims = call.argument(1, "dim")
    if dims is None:
        return tuple(dim for dim in axes if dim.size != 1)
    gone = {int(dim) % max(len(axes), 1) for dim in (dims if isinstance(dims, (list, tuple)) else [dims])}
    return tuple(dim for position, dim in enumerate(axes) if position not in gone or dim.size != 1)


def unsqueeze(tracer: Tracer, call: Call) -> Axes:
    """A dimension of size one comes in."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    axes.insert(call.args[1] % (len(axes) + 1), fixed(1, "a single channel"))
    return tuple(axes)


def diagonal(tracer: Tracer, call: Call) -> Axes:
    """``diagonal(tensor, offset, dim1, dim2)``: two dimensions keep the same indices and become the last."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    offset, one, two = (
        int(call.argument(position, name, default))
        for position, (name, default) in enumerate((("offset", 0), ("dim1", 0), ("dim2", 1)), start=1)
    )
    first, second = axes[one], axes[two]
    rest = [axis for position, axis in enumerate(axes) if position not in (one % len(axes), two % len(axes))]
    if offset == 0 and first.size == second.size:
        return (*rest, tracer.equate(first, second).without_leaf())
    for dim in (first, second):
        tracer.freeze(dim, "a diagonal at a fixed offset")
    return (*rest, fixed(call.output.shape[-1], "a diagonal at a fixed offset"))


def expand(tracer: Tracer, call: Call) -> Axes:
    """Dimensions of size one are repeated."""
    call.operation.kind = "view"
    axes = tracer.axes(call.args[0])
    shape = call.output.shape
    new = len(shape) - len(axes)
    result = []
    for position, size in enumerate(shape):
        old = axes[position - new] if position >= new else None
        if old is not None and old.size == size:
            result.append(tracer.sized_by_code(old, position))
        else:
            result.append(tracer.broadcast_here(size, position))
    return tuple(result)


def repeat(tracer: Tracer, call: Call) -> Axes:
    """Every dimension is tiled; one of a single index becomes as long as the code says."""
    axes = tracer.axes(call.args[0])
    repeats = list(call.args[1])
    axes = (*(fixed(1, FROM_CONSTANT) for _ in range(len(repeats) - len(axes))), *axes)
    return tuple(
        tracer.made_here(times, position)
        if dim.size == 1 and times > 1
        else product([tracer.sized_by_code(fixed(times, "a tiled dimension"), position), dim])
        for position, (times, dim) in enumerate(zip(repeats, axes, strict=True))
    )


def restride(tracer: Tracer, call: Call) -> Any:
    """``as_strided_``: with the sizes as they are, and other strides only for sizes of one, it is nothing."""
    axes, geometry = call.operation.inputs[0], call.operation.geometry
    now = zip(axes, geometry["strides"], call.args[1], call.args[2], strict=False)
    if len(axes) == len(call.args[1]) and all(
        axis.size == size and (size == 1 or old == new) for axis, old, size, new in now
    ):
        return axes
    return unknown(tracer, call)


def set_(tracer: Tracer, call: Call) -> Axes:
    """``set_(tensor, source)``: the tensor becomes another; without a source an empty one, to free memory."""
    source = call.args[1] if len(call.args) == 2 else None
    if isinstance(source, Tensor):
        return tracer.axes(source)
    for dim in (dim for tensor in call.tensors[1:] for dim in tracer.axes(tensor)):
        tracer.freeze(dim, "laid out anew in memory")
    return tuple(fixed(size, "laid out anew in memory") for size in call.output.shape)


RULES = {
    "set_": set_,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy"), view),
    **dict.fromkeys(("permute", "permute_copy"), permute),
    **dict.fromkeys(("t", "transpose", "t_", "transpose_"), transpose),
    **dict.fromkeys(("squeeze", "squeeze_"), squeeze),
    **dict.fromkeys(("unsqueeze", "unsqueeze_"), unsqueeze),
    "expand": expand,
    "repeat": repeat,
    "as_strided_": restride,
    "diagonal": diagonal,
}
