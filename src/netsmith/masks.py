"""Element-wise masks: which entries of the weights stay, and training that keeps the others at zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.penalties.selection import Select, weights
from netsmith.wrappers import unwrapped

RULES = ("std", "abs")


def threshold_masks(
    model: nn.Module,
    *,
    rule: str = "std",
    value: float = 0.25,
    select: Select = weights,
) -> dict[str, Tensor]:
    """Return bool masks of the entries whose magnitude is above a threshold, by parameter name.

    Args:
        model: left as it is.
        rule: ``"std"``: the threshold is ``value`` times the standard deviation of the tensor; ``"abs"``: it
            is ``value`` itself. After Adam it must exceed the learning rate, by which small weights swing.
        value: >= 0.
        select: which parameters, weights of two or more dimensions by default.

    Returns:
        One mask per selected parameter, of its shape and device; True stays.

    Raises:
        UnknownNameError: ``rule`` is neither ``"std"`` nor ``"abs"``.
        NetsmithError: ``value`` is negative or not finite, or nothing is selected.
    """
    if rule not in RULES:
        raise UnknownNameError("rule", rule, RULES)
    if not math.isfinite(value) or value < 0:
        raise NetsmithError(f"value is {value!r}; expected a finite number >= 0 ({rule} rule)")
    masks = {}
    for name, parameter in unwrapped(model).named_parameters():
        if select(name, parameter):
            tensor = parameter.detach()
            bar = value * float(tensor.float().std(correction=0)) if rule == "std" else value
            masks[name] = tensor.abs() > bar
    if not masks:
        raise NetsmithError(f"no parameter of {type(model).__name__} was selected; pass another select")
    return masks


class hold:  # noqa: N801 - used as a verb: ``with hold(model, masks) as keep:``
    """Keep masked entries at zero while in the block; the object is itself an ``after_step`` callable.

    On entry the masked entries become zero; inside, their gradients are zero, so that momentum stays zero
    too, and calling the object zeroes them again (needed with an optimiser that already has momentum).
    On exit the gradients are free again; values stay.

    Args:
        model: whose parameters are held; changed in place.
        masks: by parameter name, bool of the parameter's shape, True stays, as from :func:`threshold_masks`.

    Raises:
        NetsmithError: a mask that is not bool, or of another shape than its parameter.
        UnknownNameError: a mask for a parameter the model does not have.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(unwrapped(model).named_parameters())
        self._held: list[tuple[nn.Parameter, Tensor]] = []
        for name, mask in masks.items():
            if name not in parameters:
                raise UnknownNameError("parameter", name, parameters)
            parameter = parameters[name]
            if mask.dtype != torch.bool or mask.shape != parameter.shape:
                raise NetsmithError(
                    f"mask of {name!r} is {mask.dtype} of shape {tuple(mask.shape)}; "
                    f"expected torch.bool of shape {tuple(parameter.shape)}: make it from this model"
                )
            self._held.append((parameter, mask))
        self._hooks: list[Any] = []

    def __call__(self, model: nn.Module | None = None, clock: object = None) -> None:
        """Set the masked entries to zero; the arguments are those of ``after_step`` and not needed."""
        with torch.no_grad():
            for parameter, mask in self._held:
                parameter.masked_fill_(~mask.to(parameter.device), 0.0)

    def __enter__(self) -> hold:
        self()
        self._hooks = [_hook(p, mask) for p, mask in self._held if p.requires_grad]
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _hook(parameter: nn.Parameter, mask: Tensor) -> Any:
    def masked(gradient: Tensor) -> Tensor:
        return gradient.masked_fill(~mask.to(gradient.device), 0.0)

    return parameter.register_hook(masked)  # type: ignore[no-untyped-call]
