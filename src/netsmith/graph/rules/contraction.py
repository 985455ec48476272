"""Convolutions and matrix products: what is summed over reads its channels, what is left makes new ones."""

from __future__ import annotations

from math import prod

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed, product
from netsmith.graph.rules.elementwise import broadcast
from netsmith.graph.rules.spatial import WINDOW, keeps_length, slide_over
from netsmith.graph.tracer import Call, Tracer


def _contract(tracer: Tracer, call: Call, left: Tensor, left_dim: int, right: Tensor, right_dim: int) -> Dim:
    """Sum two arguments over a shared dimension."""
    a, b = tracer.axes(left)[left_dim], tracer.axes(right)[right_dim]
    tracer.contract(a.leaf)
    tracer.contract(b.leaf)
    joint = tracer.equate(a, b)
    tracer.read(call, left, left_dim)
    return joint


def convolution(tracer: Tracer, call: Call) -> Axes:
    """``convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    operation = call.operation
    tensor, weight, bias, stride, padding, dilation, transposed, _, groups = call.args[:9]
    operation.kind = "conv"
    batch, channels, *space = tracer.axes(tensor)
    first, second, *kernel = tracer.axes(weight)
    space = [_slide(tracer, call, place) for place in range(len(space))]
    for dim in kernel:
        tracer.freeze(dim, "the extent of a convolution kernel")
    tracer.produce((second if transposed else first).leaf)
    if groups == 1:
        _contract(tracer, call, tensor, 1, weight, 0 if transposed else 1)
        group: Dim = fixed(1, "a single group")
        out = second if transposed else first
    else:
        group, out = _grouped(tracer, call, channels, first, second, groups, transposed)
    if bias is not None:
        out = tracer.equate(out, tracer.axes(bias)[0])
        tracer.produce(tracer.axes(bias)[0].leaf)
    out = out.without_leaf()
    place = tensor if transposed else call.output
    free = [dim for dim in space if dim.owners]
    operation.scale = tensor.shape[0] * prod(place.shape[2:]) * prod(weight.shape[2:])
    operation.scale //= prod(dim.size for dim in free)
    operation.iterations = (first, second, *free)
    operation.widths = {"in": channels, "out": out, "groups": group}
    tracer.sized_by_code(group, "groups")
    operation.constants["groups"] = group
    operation.geometry = {
        "batch": tensor.shape[0],
        "in_spatial": tuple(tensor.shape[2:]),
        "out_spatial": tuple(call.output.shape[2:]),
        "kernel": tuple(weight.shape[2:]),
        "stride": tuple(stride),
        "padding": tuple(padding),
        "dilation": tuple(dilation),
        "transposed": bool(transposed),
    }
    return (batch, out, *space)


def _slide(tracer: Tracer, call: Call, place: int) -> Dim:
    """Say what becomes of one dimension of space; it passes where its window is one index that stays."""
    tensor, weight, _, stride, padding, dilation, _, more, groups = call.args[:9]
    kernel = weight.shape[2 + place]
    step, zeros, spread, added = (values[place % len(values)] for values in (stride, padding, dilation, more))
    kept = added == 0 and keeps_length(kernel, step, zeros, spread)
    dim = tracer.axes(tensor)[2 + place]
    if kept and kernel == 1 and dim.owners:
        return dim.without_leaf()
    if kept and groups == 1 == call.output.shape[1]:
        return slide_over(tracer, call, 2 + place)
    tracer.freeze(dim, WINDOW)
    return fixed(call.output.shape[2 + place], WINDOW)


def _grouped(
    tracer: Tracer, call: Call, channels: Dim, first: Dim, second: Dim, groups: int, transposed: bool
) -> tuple[Dim, Dim]:
    """Tie a grouped convolution in blocks: input = group × inner, output = group × outer."""
    inputs = first if transposed else channels
    if transposed:
        tracer.equate(channels, first)
    group, inner = tracer.factor(inputs, [groups, inputs.size // groups])
    if transposed:
        out = product([group, second])
    else:
        tracer.contract(second.leaf)
        if second.size > 1:
            tracer.equate(inner, second)
        again, _ = tracer.factor(first, [groups, first.size // groups])
        group = tracer.equate(group, again)
        out = first
    if inputs.size > groups:
        tracer.read(call, call.args[0], 1)
    return group, out


def _product(tracer: Tracer, call: Call, left: Tensor, right: Tensor, lead: tuple[Dim, ...] = ()) -> Axes:
    """``[..., m, k] @ [..., k, n]``."""
    operation = call.operation
    joint = _contract(tracer, call, left, left.dim() - 1, right, max(right.dim() - 2, 0))
    rows = tracer.axes(left)[left.dim() - 2 : left.dim() - 1] if left.dim() > 1 else ()
    columns = tracer.axes(right)[-1:] if right.dim() > 1 else ()
    for dim in (*rows, *columns):
        tracer.produce(dim.leaf)
    weight = any(dim.leaf for dim in (*tracer.axes(left), *tracer.axes(right)))
    operation.kind = "linear" if weight else "matmul"
    operation.scale = 1
    operation.iterations = (*lead, *rows, joint, *columns)
    operation.widths = {"in": joint, "out": columns[0] if columns else fixed(1, "a vector")}
    operation.geometry = {"rows": prod(dim.size for dim in (*lead, *rows))}
    return (*lead, *(dim.without_leaf() for dim in (*rows, *columns)))


def matrix(tracer: Tracer, call: Call) -> Axes:
    """``mm``, ``mv``, ``dot``: a plain product of two arguments."""
    return _product(tracer, call, call.args[0], call.args[1])


def add_matrix(tracer: Tracer, call: Call) -> Axes:
    """``addmm``, ``addmv``: a product on top of a bias."""
    result = _product(tracer, call, call.args[1], call.args[2])
    return _add_bias(tracer, call, result)


def _add_bias(tracer: Tracer, call: Call, result: Axes) -> Axes:
    bias = tracer.axes(call.args[0])
    if bias:
        tracer.produce(bias[-1].leaf)
    return tuple(dim.without_leaf() for dim in broadcast(tracer, call.output.shape, [result, bias]))


def batched(tracer: Tracer, call: Call) -> Axes:
    """``bmm``: one product per batch index."""
    left, right = call.args[0], call.args[1]
    lead = tracer.equate(tracer.axes(left)[0], tracer.axes(right)[0])
    return _product(tracer, call, left, right, (lead.without_leaf(),))


def add_batched(tracer: Tracer, call: Call) -> Axes:
    """``baddbmm``: batched products on top of a bias."""
    left, right = call.args[1], call.args[2]
    lead = tracer.equate(tracer.axes(left)[0], tracer.axes(right)[0])
    return _add_bias(tracer, call, _product(tracer, call, left, right, (lead.without_leaf(),)))


def add_summed(tracer: Tracer, call: Call) -> Axes:
    """``addbmm``: batched products, summed over the batch, on top of a bias."""
    left, right = call.args[1], call.args[2]
    _contract(tracer, call, left, 0, right, 0)
    return _add_bias(tracer, call, _product(tracer, call, left, right))


def trilinear(tracer: Tracer, call: Call) -> Axes:
    """``_trilinear(a, b, c, expand_a, expand_b, expand_c, sumdim)``: three factors, summed over dimensions.

    Each factor gets dimensions of size one where its ``expand`` says; then all are broadcast.
    """
    spread: list[Axes] = []
    for tensor, places in zip(call.args[:3], call.args[3:6], strict=True):
        dims = list(tracer.axes(tensor))
        for place in places:
            dims.insert(place, fixed(1, "a single channel"))
        spread.append(tuple(dims))
    shape = [max(sizes) for sizes in zip(*([dim.size for dim in axes] for axes in spread), strict=True)]
    joint = broadcast(tracer, shape, spread)
    summed = [dim % len(shape) for dim in call.args[6]]
    for tensor, axes in zip(call.args[:3], spread, strict=True):
        own = [axis for position, axis in enumerate(axes) if position in summed and axis.owners]
        for dim, axis in enumerate(tracer.axes(tensor)):
            if axis.leaf is not None:
                (tracer.contract if axis in own else tracer.produce)(axis.leaf)
            if axis in own:
                tracer.read(call, tensor, dim)
    call.operation.kind, call.operation.scale, call.operation.iterations = "matmul", 1, joint
    return tuple(dim.without_leaf() for position, dim in enumerate(joint) if position not in summed)


RULES = {
    "addbmm": add_summed,
    "_trilinear": trilinear,
    "convolution": convolution,
    **dict.fromkeys(("mm", "mv", "dot", "vdot"), matrix),
    **dict.fromkeys(("addmm", "addmv", "_addmm_activation", "_sparse_addmm"), add_matrix),
    "bmm": batched,
    "baddbmm": add_batched,
}
