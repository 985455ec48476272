"""Operators over the trailing, spatial dimensions: pooling, resampling, padding, pixel rearrangement."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed, product
from netsmith.graph.tracer import Call, Tracer

WINDOW = "a dimension that a window slides over"


def trailing(tracer: Tracer, call: Call) -> Any:
    """Leading dimensions pass, the trailing ones (as many as the operator's name says) are slid over."""
    call.operation.kind = "pool"
    name = call.function.overloadpacket.__name__
    found = re.search(r"(\d)d", name)
    count = int(found.group(1)) if found else 2
    axes = tracer.axes(call.tensors[0])
    for places in call.tensors[1:]:  # where an unpooling puts things
        axes = (*map(tracer.equate, axes[:-count], tracer.axes(places)[:-count]), *axes[-count:])
    for dim in axes[-count:]:
        tracer.freeze(dim, WINDOW)

    def axes_of(output: Tensor) -> Axes:
        return (*axes[:-count], *(fixed(size, WINDOW) for size in output.shape[-count:]))

    if isinstance(call.output, Tensor):
        return axes_of(call.output)
    return [axes_of(output) for output in call.output]


def pixel_shuffle(tracer: Tracer, call: Call) -> Axes:
    """Channels factor into channels × r × r; the r × r go to space."""
    call.operation.kind = "view"
    *lead, channels, height, width = tracer.axes(call.args[0])
    factor = int(call.args[1])
    kept, *block = tracer.factor(channels, [channels.size // factor**2, factor, factor])
    for dim in block:
        tracer.freeze(dim, "the block of a pixel shuffle")
    return (*lead, kept, fixed(height.size * factor, WINDOW), fixed(width.size * factor, WINDOW))


def pixel_unshuffle(tracer: Tracer, call: Call) -> Axes:
    """Blocks of space go to channels."""
    call.operation.kind = "view"
    *lead, channels, height, width = tracer.axes(call.args[0])
    factor = int(call.args[1])
    block = [fixed(factor, "the block of a pixel shuffle")] * 2
    return (*lead, product([channels, *block]), *(fixed(d.size // factor, WINDOW) for d in (height, width)))


def channel_shuffle(tracer: Tracer, call: Call) -> Axes:
    """Channels factor into groups × width and come out as width × groups."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    groups = int(call.args[1])
    group, within = tracer.factor(axes[1], [groups, axes[1].size // groups])
    tracer.freeze(group, "the groups of a channel shuffle")
    axes[1] = product([within, fixed(groups, "the groups of a channel shuffle")])
    return tuple(axes)


def keeps_length(kernel: int, step: int, zeros: int, spread: int) -> bool:
    """Whether there is one window around every index, filled up with as many zeros on either side."""
    return step == 1 and 2 * zeros == spread * (kernel - 1)


def slide_over(tracer: Tracer, call: Call, dim: int) -> Dim:
    """One kernel slides over a dimension of the first argument, with a window around every index.

    Channels that a weight makes have no order but the one that training gave them, as in channel attention:
    when some go, the windows are over those that are left. Anything else stays.
    """
    axis = tracer.axes(call.args[0])[dim]
    if not (tracer.made_by_a_weight(axis) or _put_out_by_a_convolution(tracer, axis)):
        tracer.freeze(axis, WINDOW)
        return fixed(axis.size, WINDOW)
    tracer.read(call, call.args[0], dim, statistic=True)
    return axis.without_leaf()


def _put_out_by_a_convolution(tracer: Tracer, axis: Dim) -> bool:
    """Whether channels are, as they stand, those of a convolution, whatever its weight was computed from."""
    made = (operation.widths["out"].owners for operation in tracer.operations if operation.kind == "conv")
    return len(axis.owners) == 1 and any(owners and owners[0] is axis.owners[0] for owners in made)


def im2col(tracer: Tracer, call: Call) -> Axes:
    """Patches: channels × window positions, one column per place."""
    tensor, kernel, dilation, padding, stride = call.args[:5]
    *rest, channels, height, width = tracer.axes(tensor)
    window = [fixed(int(size), WINDOW) for size in kernel]
    kept = [keeps_length(*sizes) for sizes in zip(kernel, stride, padding, dilation, strict=True)]
    if channels.size == 1 and all(kept):
        places = product([slide_over(tracer, call, dim) for dim in (tensor.dim() - 2, tensor.dim() - 1)])
    else:
        for dim in (height, width):
            tracer.freeze(dim, WINDOW)
        places = fixed(call.output.shape[-1], WINDOW)
    return (*rest, product([channels, *window]), places)


def unfold(tracer: Tracer, call: Call) -> Axes:
    """Windows along one dimension: their number takes its place, what is in them comes last."""
    call.operation.kind = "view"
    axes = list(tracer.axes(call.args[0]))
    dim = int(call.args[1]) % len(axes)
    tracer.freeze(axes[dim], WINDOW)
    axes[dim] = fixed(call.output.shape[dim], WINDOW)
    return (*axes, fixed(call.output.shape[-1], WINDOW))


RULES = {
    **dict.fromkeys(
        (
            "max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices",
            "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
            "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d",
            "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
            "fractional_max_pool2d", "fractional_max_pool3d", "max_unpool2d", "max_unpool3d",
            "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
            "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
            "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d",
            "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
            "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
            "replication_pad1d", "replication_pad2d", "replication_pad3d", "mkldnn_max_pool2d",
        ),
        trailing,
    ),
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
    "im2col": im2col,
    "unfold": unfold,
}  # fmt: skip
