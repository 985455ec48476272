"""Modules that only scale and shift each channel of what they are given: norms in evaluation, gains."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from netsmith.graph.flow import Flow, ModuleCall, Step, Value

NORMS = frozenset(
    {
        "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
        "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_no_update",
    }
)  # fmt: skip
COPIES = frozenset({"clone", "alias", "detach", "contiguous", "_to_copy", "view", "lift_fresh"})


def affine_source(flow: Flow, call: ModuleCall) -> Value | None:
    """Return the one value that a call scales and shifts by constants; ``None`` where it does more."""
    result = call.result
    sources = call.values
    if len(sources) != 1 or not isinstance(result, Value) or call.start == call.stop:
        return None
    source = sources[0]
    moving = {source.number}
    constant = {number for number, name in flow.leaves.items() if name.startswith(f"{call.path}.")}
    for step in flow.inside(call):
        given = [value.number for value in step.operands]
        carried = sum(number in moving for number in given)
        if any(number not in moving and number not in constant for number in given):
            return None
        if not carried:
            constant.update(value.number for value in step.outputs)
        elif carried == 1 and _is_affine(step, moving):
            moving.update(value.number for value in step.results[:1])
        else:
            return None
    changed = result.number != source.number
    return source if changed and result.number in moving and result.shape == source.shape else None


def _is_affine(step: Step, moving: set[int]) -> bool:
    """Whether a step maps the one moving operand to a multiple of it plus a constant."""
    first = step.operands[0].number in moving
    if step.name in NORMS:
        return first and _uses_running_statistics(step)
    if step.name.rstrip("_") == "div":
        return first and step.keywords.get("rounding_mode") is None
    if step.name in COPIES:
        return step.results[0].shape == step.operands[0].shape and step.results[0].dtype.is_floating_point
    return step.name.rstrip("_") in ("mul", "add", "sub", "neg")


def _uses_running_statistics(step: Step) -> bool:
    if step.name in ("_native_batch_norm_legit_no_training", "_batch_norm_no_update"):
        return True
    mean, training = step.argument(3, "running_mean"), step.argument(5, "training", True)
    return isinstance(mean, Value) and not training


@torch.no_grad()
def scale_and_shift(module: nn.Module, shape: list[int]) -> tuple[Tensor, Tensor] | None:
    """Return what a module multiplies each channel by and adds to it, in double precision.

    It is asked: what it makes of zeros and of ones of ``shape``, in which all dimensions but that of the
    channels are one. ``None`` where its constants differ along other dimensions than the channels'.
    """
    twin = copy.deepcopy(module).double().eval()
    like = next((t for t in (*twin.parameters(), *twin.buffers()) if t.is_floating_point()), torch.zeros(()))
    zero = torch.zeros(shape, dtype=torch.float64, device=like.device)
    shift, both = twin(zero), twin(zero + 1)
    if list(shift.shape) != shape:
        return None
    return (both - shift).flatten(), shift.flatten()
