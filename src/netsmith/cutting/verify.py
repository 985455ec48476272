"""The proof that a cut is exact: one forward pass against the masked original."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from netsmith.calling import call_arguments, copied
from netsmith.closeness import relative_difference, tolerance
from netsmith.contracts import Inputs, Keep
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.masked import OtherOperatorsError, run_masked
from netsmith.graph.tracing import graph_of, run
from netsmith.modes import evaluating
from netsmith.wrappers import uncompiled

FIXED_SIZE = (
    "A size is probably fixed in the code there: compute it from the tensor, or protect the layers before it"
)
MISREAD = "Please report this model: its structure was read wrongly"


def masked_output(model: nn.Module, inputs: Inputs, graph: StructureGraph, keep: Keep) -> Any:
    """Return the masked original's output; traces again with values if the operators differ without."""
    if any(parameter.is_meta for parameter in model.parameters()):
        return None
    with evaluating(model):
        try:
            with drawing_alike():
                return run_masked(model, inputs, graph, keep)
        except OtherOperatorsError:
            real = graph_of(run(model, inputs, real=True, own=graph.own))
            if [group.name for group in real.groups] != [group.name for group in graph.groups]:
                raise
            with drawing_alike():
                return run_masked(model, inputs, real, keep)


@contextmanager
def drawing_alike() -> Iterator[None]:
    """Let a forward pass draw the same random numbers every time; the random state is left as found."""
    with torch.random.fork_rng(devices=[]), _DrawInOrder():
        torch.manual_seed(0)
        yield


class _DrawInOrder(TorchFunctionMode):
    """Noise like a tensor is drawn in the order of its indices, not of its memory, which a cut may change."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (torch.rand_like, torch.randn_like, torch.randint_like):
            kwargs = {"memory_format": torch.contiguous_format, **kwargs}
        return function(*args, **kwargs)


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
    args, kwargs = copied(call_arguments(inputs))
    try:
        with evaluating(edited), torch.no_grad(), uncompiled(), drawing_alike():
            output = edited(*args, **kwargs)
    except Exception as error:
        place = _last_line_outside_torch(error)
        raise EditError(
            f"the {what} model does not run ({type(error).__name__} at {place}: {_first_line(error)}); the "
            f"original is untouched. {_suspects(graph) or FIXED_SIZE}"
        ) from error
    expected = [leaf for leaf in tree_flatten(reference)[0] if isinstance(leaf, Tensor)]
    got = [leaf for leaf in tree_flatten(output)[0] if isinstance(leaf, Tensor)]
    for want, have in zip(expected, got, strict=True):
        difference = relative_difference(have, want)
        if not difference <= tolerance(want.dtype):
            raise EditError(
                f"the {what} model's output differs from the {against}'s by {difference:.2g} "
                f"(relative); the original is untouched. {_suspects(graph) or MISREAD}"
            )


def _suspects(graph: StructureGraph | None) -> str:
    """Return the rules of the user's own that may be wrong, in words."""
    own = dict.fromkeys(operation.own for operation in graph.operations if operation.own) if graph else {}
    return f"Check your rule for {' and for '.join(own)}: it took part, and may be wrong" if own else ""


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
