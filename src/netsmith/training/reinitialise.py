"""New values for every weight of a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from netsmith.errors import NetsmithError


def reinitialise_(model: nn.Module, seed: int) -> None:
    """Give every weight and buffer new values in place, by its module's own ``reset_parameters``.

    Raises:
        NetsmithError: a module holds weights of its own and has no ``reset_parameters``; nothing is changed.
    """
    for name, module in model.named_modules():
        own = next((key for key, _ in module.named_parameters(recurse=False)), None)
        if own is not None and not hasattr(module, "reset_parameters"):
            raise NetsmithError(
                f"{type(module).__name__} {name!r} cannot initialise its {own!r} anew; give it a method "
                "reset_parameters, or leave the method scratch out"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset: Callable[[], None] | None = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
