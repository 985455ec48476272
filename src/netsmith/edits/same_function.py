"""The proof that an edit left the function of a model as it was: one forward pass before and after."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.calling import call_arguments
from netsmith.closeness import relative_difference, tolerance
from netsmith.contracts import Inputs
from netsmith.errors import EditError
from netsmith.modes import evaluating


def evaluated(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """Return the tensors that a model puts out in evaluation mode."""
    args, kwargs = call_arguments(inputs)
    with evaluating(model), torch.no_grad():
        output: Any = model(*args, **kwargs)
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def check_same(before: nn.Module, after: nn.Module, inputs: Inputs) -> None:
    """Check that two models put out the same in evaluation mode.

    Raises:
        EditError: the edited one does not run, or its output differs beyond floating-point tolerance.
    """
    if any(parameter.is_meta for parameter in before.parameters()):
        return
    expected = evaluated(before, inputs)
    try:
        got = evaluated(after, inputs)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise EditError(
            f"the edited model does not run ({type(error).__name__}: {first}); the original is untouched. "
            "The code around the edited module probably uses more of it than its output"
        ) from error
    for want, have in zip(expected, got, strict=True):
        difference = relative_difference(have, want)
        if not difference <= tolerance(want.dtype):
            raise EditError(
                f"the edited model's output differs by {difference:.2g} (relative); the original is untouched"
            )
