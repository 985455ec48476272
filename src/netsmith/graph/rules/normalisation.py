"""Normalisation: per channel it follows the channel; across channels its statistics are over those left."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from netsmith.graph.axes import Axes, Dim
from netsmith.graph.rules.reduction import position_sensitive
from netsmith.graph.tracer import Call, Tracer


def _follow(tracer: Tracer, axis: Dim, vectors: tuple[Tensor | None, ...]) -> Dim:
    for vector in vectors:
        if vector is not None and vector.dim() == 1 and vector.numel() == axis.size:
            axis = tracer.equate(axis, tracer.axes(vector)[0])
    return axis.without_leaf()


def batch_norm(tracer: Tracer, call: Call) -> Any:
    """Statistics per channel; parameters and running statistics follow the channel."""
    call.operation.kind = "norm"
    axes = list(tracer.axes(call.args[0]))
    vectors = tuple(item for item in call.args[1:5] if isinstance(item, Tensor))
    axes[1] = _follow(tracer, axes[1], vectors)
    if _own_statistics(call):
        for dim in (0, *range(2, len(axes))):
            tracer.read(call, call.args[0], dim, statistic=True)
    outputs = call.output if isinstance(call.output, (list, tuple)) else [call.output]
    result: list[Axes] = [tuple(axes)]
    for output in outputs[1:]:
        if isinstance(output, Tensor):
            result.append(
                (axes[1],) if output.dim() == 1 and output.numel() == axes[1].size else _blank(output)
            )
    return result if isinstance(call.output, (list, tuple)) else result[0]


def _own_statistics(call: Call) -> bool:
    """Whether the mean and variance are the input's own, as in training, not those kept from training."""
    names = [argument.name for argument in call.function._schema.arguments]
    return "training" in names and bool(call.argument(names.index("training"), "training", False))


def _blank(tensor: Tensor) -> Axes:
    return tuple(Dim(size, (), "statistics") for size in tensor.shape)


def group_norm(tracer: Tracer, call: Call) -> list[Axes]:
    """``native_group_norm(input, weight, bias, N, C, HxW, group, eps)``: channels are groups × width."""
    call.operation.kind = "norm"
    tensor, weight, bias, _, channels, _, groups = call.args[:7]
    axes = list(tracer.axes(tensor))
    axes[1] = _follow(tracer, axes[1], (weight, bias))
    if groups < channels:
        group, _ = tracer.factor(axes[1], [groups, channels // groups])
        tracer.read(call, tensor, 1, statistic=True)
    else:
        group = axes[1]
    tracer.sized_by_code(group, "groups")
    call.operation.constants["groups"] = group
    return [tuple(axes), *(_blank(output) for output in call.output[1:])]


def layer_norm(tracer: Tracer, call: Call) -> list[Axes]:
    """``native_layer_norm(input, normalized_shape, weight, bias, eps)``: over the last dimensions."""
    call.operation.kind = "norm"
    tensor, shape = call.args[:2]
    axes = list(tracer.axes(tensor))
    for position in range(len(shape)):
        dim = len(axes) - len(shape) + position
        for vector in call.args[2:4]:
            if vector is not None:
                axes[dim] = tracer.equate(axes[dim], tracer.axes(vector)[position]).without_leaf()
        axes[dim] = tracer.sized_by_code(axes[dim], f"normalized_shape.{position}")
        tracer.read(call, tensor, dim, statistic=True)
        call.operation.constants[f"normalized_shape.{position}"] = axes[dim]
    return [tuple(axes), *(_blank(output) for output in call.output[1:])]


def weight_norm(tracer: Tracer, call: Call) -> list[Axes]:
    """``_weight_norm_interface(v, g, dim)``: g · v / ‖v‖, the norm over all dimensions but ``dim``."""
    direction, scale = call.args[:2]
    axes = list(tracer.axes(direction))
    dim = int(call.argument(2, "dim", 0)) % len(axes)
    axes[dim] = tracer.equate(axes[dim], tracer.axes(scale)[dim])
    for position in range(len(axes)):
        if position != dim:
            tracer.read(call, direction, position)
    return [tuple(axes), tracer.axes(scale)]


def softmax(tracer: Tracer, call: Call) -> Any:
    """``_softmax(input, dim, ...)``: over channels that a weight makes it is over those that are left.

    A router's weight makes one channel per expert, and leaving an expert out leaves the others to share.
    Other dimensions stay: positions, and parts of channels.
    """
    tensor: Tensor = call.args[0]
    axes = tracer.axes(tensor)
    if not axes:
        return position_sensitive(tracer, call)
    dim = int(call.argument(1, "dim", -1)) % len(axes)
    if not tracer.made_by_a_weight(axes[dim]):
        return position_sensitive(tracer, call)
    call.operation.kind = "norm"
    tracer.read(call, tensor, dim, statistic=True)
    return axes


RULES = {
    **dict.fromkeys(
        (
            "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
            "cudnn_batch_norm", "miopen_batch_norm", "batch_norm_with_update",
            "_batch_norm_with_update", "_batch_norm_no_update",
        ),
        batch_norm,
    ),
    "native_group_norm": group_norm,
    "native_layer_norm": layer_norm,
    "_weight_norm_interface": weight_norm,
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), softmax),
}  # fmt: skip
