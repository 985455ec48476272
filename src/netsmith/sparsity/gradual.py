"""Gradual pruning: a little more sparse every so many steps, while the network trains."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.contracts import Clock
from netsmith.errors import NetsmithError
from netsmith.masks import hold
from netsmith.scores.elements import Elements, weights_of
from netsmith.sparsity.ranking import global_masks
from netsmith.sparsity.schedules import Schedule
from netsmith.wrappers import unwrapped


def magnitudes(model: nn.Module) -> Elements:
    """Score each weight by its absolute value."""
    return {name: weight.detach().abs() for name, weight in weights_of(unwrapped(model)).items()}


class GradualPruning:
    """Prune the lowest-scoring weights of the whole network along a schedule.

    A context manager around the training; the object is its ``after_step`` callable, in your own loop or in
    :func:`netsmith.train.fit`. Masked weights are 0 and get no gradient; where the schedule asks for fewer
    zeros again they start to learn from 0.

    Args:
        model: changed in place.
        schedule: ``clock -> sparsity``, see :mod:`netsmith.sparsity.schedules`.
        score: ``model -> one tensor per weight``; what it scores is what the sparsity counts.
        every: steps from one update to the next, >= 1; the last step of a run always updates.

    Raises:
        NetsmithError: ``every`` below 1, or a sparsity outside [0, 1).
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: Schedule,
        *,
        score: Callable[[nn.Module], Elements] = magnitudes,
        every: int = 100,
    ) -> None:
        if every < 1:
            raise NetsmithError(f"every is {every}; expected a number of steps >= 1")
        self.schedule, self.score, self.every = schedule, score, every
        self.masks: dict[str, Tensor] = {
            name: torch.ones_like(values, dtype=torch.bool) for name, values in score(model).items()
        }
        self._held = hold(model, self.masks)

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        """Zero the masked weights after a step and, when it is time, change the masks."""
        self._held()
        if clock.step % self.every == 0 or clock.progress >= 1:
            for name, mask in global_masks(self.score(model), 1 - self.schedule(clock)).items():
                # In place: what holds the weights at zero shares these masks.
                self.masks[name].copy_(mask)
            self._held()

    def __enter__(self) -> GradualPruning:
        self._held.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._held.__exit__(kind, value, trace)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"masks": dict(self.masks)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
