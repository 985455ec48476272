"""The proof that a cut is exact: one forward pass against the masked original."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from netsmith.calling import call_arguments, copied
from netsmith.closeness import relative_difference, tolerance
from netsmith.contracts import Inputs, Keep
from netsmith.errors import EditError, NetsmithError, TraceError
from netsmith.graph import StructureGraph
from netsmith.graph.masked import OtherOperatorsError, run_masked
from netsmith.graph.running import describe, tensors_in
from netsmith.graph.tracing import graph_of, run
from netsmith.modes import drawing_alike, evaluating
from netsmith.wrappers import uncompiled

FIXED_SIZE = (
    "A size is probably fixed in the code there: compute it from the tensor, protect the layers before it, "
    "or shrink with form='program'"
)
UNSTEADY = (
    "Its output depends on more than inputs, weights and torch's random state: make that an input, or pass "
    "verify=False"
)
MISREAD = "Please report this model: its structure was read wrongly"


def masked_output(model: nn.Module, inputs: Inputs, graph: StructureGraph, keep: Keep) -> Any:
    """Return the masked original's output; traces again with values if the operators differ without.

    Raises:
        TraceError: the model does not run on the inputs, or not with the same operators each time.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return None
    with evaluating(model):
        try:
            with drawing_alike():
                return run_masked(model, inputs, graph, keep)
        except OtherOperatorsError:
            return _masked_for_real(model, inputs, graph, keep)
        except NetsmithError:
            raise
        except Exception as error:
            raise TraceError(
                f"{type(model).__name__} does not run on these inputs ({describe(inputs)}): "
                f"{type(error).__name__}: {_first_line(error)}"
            ) from error


def _masked_for_real(model: nn.Module, inputs: Inputs, graph: StructureGraph, keep: Keep) -> Any:
    real = graph_of(run(model, inputs, real=True, own=graph.own))
    try:
        if [group.name for group in real.groups] != [group.name for group in graph.groups]:
            raise OtherOperatorsError("with values it has other groups of channels than without")
        with drawing_alike():
            return run_masked(model, inputs, real, keep)
    except OtherOperatorsError as error:
        raise TraceError(
            f"{type(model).__name__} runs other operators from one call to the next: {error}; make what it "
            "runs depend on its inputs alone"
        ) from error


def own_output(model: nn.Module, inputs: Inputs) -> Any:
    """Return what a model puts out in evaluation mode; None where it has no values."""
    if any(parameter.is_meta for parameter in model.parameters()):
        return None
    args, kwargs = call_arguments(inputs)
    with evaluating(model), torch.no_grad(), uncompiled(), drawing_alike():
        return model(*args, **kwargs)


def check_against(
    edited: nn.Module,
    inputs: Inputs,
    reference: Any,
    graph: StructureGraph | None = None,
    *,
    what: str = "smaller",
    against: str = "masked original",
) -> None:
    """Check one forward pass of a smaller model against the masked original, or of ``what`` ``against`` it.

    ``graph`` tells which rules of the user's own took part.

    Raises:
        EditError: it does not run, or its output differs beyond floating-point tolerance.
    """
    if reference is None:
        return
    output = _output(edited, inputs, graph, what)
    difference = _difference(output, reference)
    if difference is None:
        return
    if any(tensor.is_floating_point() and tensor.isnan().any() for tensor in tensors_in(reference)):
        raise EditError(
            "the original's own output holds NaN on these inputs, so nothing can be compared; the original "
            "is untouched. Give inputs on which it is finite"
        )
    unsteady = _difference(_output(edited, inputs, graph, what), output)
    if unsteady is not None:
        raise EditError(
            f"{type(edited).__name__} gives another output each time it is run on these inputs (they differ "
            f"by {unsteady:.2g}, relative), so nothing can be compared; the original is untouched. {UNSTEADY}"
        )
    raise EditError(
        f"the {what} model's output differs from the {against}'s by {difference:.2g} (relative); the "
        f"original is untouched. {_suspects(graph) or _hooked(edited) or MISREAD}"
    )


def _output(edited: nn.Module, inputs: Inputs, graph: StructureGraph | None, what: str) -> Any:
    args, kwargs = copied(call_arguments(inputs))
    try:
        with evaluating(edited), torch.no_grad(), uncompiled(), drawing_alike():
            return edited(*args, **kwargs)
    except Exception as error:
        place = _last_line_outside_torch(error)
        raise EditError(
            f"the {what} model does not run ({type(error).__name__} at {place}: {_first_line(error)}); the "
            f"original is untouched. {_suspects(graph) or _hooked(edited) or FIXED_SIZE}"
        ) from error


def _difference(output: Any, reference: Any) -> float | None:
    """Return the first relative difference that rounding does not explain, or None."""
    got, expected = tensors_in(output), tensors_in(reference)
    if len(got) != len(expected):
        return math.inf
    for have, want in zip(got, expected, strict=True):
        difference = relative_difference(have, want)
        if not difference <= tolerance(want.dtype):
            return difference
    return None


def _suspects(graph: StructureGraph | None) -> str:
    """Return the rules of the user's own that may be wrong, in words."""
    own = dict.fromkeys(operation.own for operation in graph.operations if operation.own) if graph else {}
    return f"Check your rule for {' and for '.join(own)}: it took part, and may be wrong" if own else ""


def _hooked(model: nn.Module) -> str:
    """Return which modules have forward hooks that may hold on to the original, in words."""
    hooked = [
        repr(name) if name else "the model"
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]
    if not hooked:
        return ""
    return (
        f"Forward hooks of module {', '.join(hooked[:3])} came along as they are: one that holds on to the "
        "original's tensors or sizes has to be removed first"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _last_line_outside_torch(error: BaseException) -> str:
    place = "unknown place"
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if "/torch/" not in name and name != __file__:
            place = f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
