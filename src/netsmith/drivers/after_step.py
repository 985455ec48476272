"""Projected training: after optimiser steps, or after epochs, the weights are put back into their set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from netsmith.contracts import Clock, Projection
from netsmith.drivers.selection import Select, assigned
from netsmith.errors import NetsmithError, TrainingError, UnknownNameError

Unit = Literal["step", "epoch"]


def project_(
    model: nn.Module, projection: Projection | Mapping[str, Projection], *, select: Select = None
) -> nn.Module:
    """Project the selected weights in place, so that optimisers keep their references.

    Args:
        model: changed in place; its parameters stay the same objects.
        projection: one for all, or a mapping from names or patterns to projections.
        select: which parameters, see :data:`netsmith.drivers.Select`; every weight, no bias, if not given.

    Returns:
        The model.

    Raises:
        TrainingError: a weight is NaN or infinite; nothing has been changed.
        NetsmithError: nothing was selected, or a projection does not fit a shape; nothing has been changed.

    Warns:
        UserWarning: a weight that was not all zero has become so; the message names it.
    """
    constrained = assigned(model, projection, select)
    with torch.no_grad():
        projected = []
        for name, parameter, one in constrained:
            if not bool(parameter.isfinite().all()):
                raise TrainingError(
                    f"{name} has NaN or infinite entries, expected finite ones; "
                    "lower the learning rate and go on from the last checkpoint"
                )
            projected.append(one(parameter.detach()))
        for (name, parameter, _), value in zip(constrained, projected, strict=True):
            if not bool(value.any()) and bool(parameter.any()):
                warnings.warn(
                    f"{name} became all zero under {type(model).__name__}'s projection; "
                    "give it a larger radius or leave it out with select",
                    stacklevel=2,
                )
            parameter.copy_(value)
    return model


class AfterStep:
    """Make a projection hold after every step or epoch: ``W <- P(W)``, the projected gradient method.

    Hand it to :func:`netsmith.train.fit` as ``after_step`` or ``after_epoch``, or call it in your own loop.
    With Adam, projecting after *every* mini-batch lets the moments push against the set all the time, and
    training stalls; once an epoch (``unit="epoch"``), or :func:`netsmith.drivers.mask_and_retrain`, is the
    method there.

    Args:
        projection: one for all, or a mapping from names or patterns to projections.
        select: which parameters, see :data:`netsmith.drivers.Select`.
        every: project each time that many units are done, >= 1.
        unit: what ``every`` counts: ``"step"`` for ``after_step``, ``"epoch"`` for ``after_epoch``.

    >>> from netsmith.projections import L1Ball
    >>> layer = nn.Linear(10, 10)
    >>> AfterStep(L1Ball(2.0))(layer)
    >>> bool(layer.weight.abs().sum() <= 2.0 + 1e-6)
    True
    """

    def __init__(
        self,
        projection: Projection | Mapping[str, Projection],
        *,
        select: Select = None,
        every: int = 1,
        unit: Unit = "step",
    ) -> None:
        if every < 1:
            raise NetsmithError(f"every is {every}, expected a number >= 1; 1 projects each time")
        if unit not in ("step", "epoch"):
            raise UnknownNameError("unit", unit, ("step", "epoch"))
        self.projection = projection
        self.select = select
        self.every = every
        self.unit = unit

    def __call__(self, model: nn.Module, clock: Clock | None = None) -> None:
        """Project the weights of ``model`` in place if it is time; without a clock it always is."""
        if clock is not None:
            done = clock.step if self.unit == "step" else clock.epoch
            if done % self.every:
                return
        project_(model, self.projection, select=self.select)
