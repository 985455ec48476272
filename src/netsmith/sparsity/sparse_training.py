"""Sparse training: the same number of weights all along, but not the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsmith.cards import card
from netsmith.contracts import Clock
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.masks import hold
from netsmith.wrappers import unwrapped

Growth = Literal["gradient", "random"]


def drop_fraction(clock: Clock, *, initial: float = 0.3, end: float = 0.75) -> float:
    """Return ``initial / 2 (1 + cos(pi t / T))`` of RigL, 0 after the share ``end`` of the run.

    >>> from netsmith.clock import Clock
    >>> [round(drop_fraction(Clock(step, 100, 1), end=0.8), 3) for step in (0, 40, 80, 90)]
    [0.3, 0.15, 0.0, 0.0]
    """
    return initial / 2 * (1 + math.cos(math.pi * min(clock.progress / end, 1.0)))


@card(
    title="RigL and SET: sparse training that drops weights and grows others",
    paper="U. Evci et al., 2020, arXiv:1911.11134; D. Mocanu et al., 2018, arXiv:1707.04780",
    venue="ICML 2020; Nature Communications 2018",
    differs=(
        "gradients for growing are those of the last backward pass before the update; a weight dropped and "
        "grown at once starts from 0, too; SET drops the smallest magnitudes of either sign together, with "
        "RigL's falling fraction"
    ),
)
class SparseTraining:
    """Drop the smallest weights of each layer and grow as many others, every so many steps.

    A context manager around the training; the object is its ``after_step`` callable, in your own loop or in
    :func:`netsmith.train.fit`. At an update each layer loses ``drop_fraction`` of its active weights, the
    smallest, and gains as many among all that are not active then: those with the largest gradient (RigL) or
    any (SET). New weights start at 0. Between updates masked weights are 0 and get no gradient, so that
    momentum does not gather; give the optimiser to have that of dropped weights cleared as well.

    Args:
        model: changed in place.
        masks: where to start, by parameter name, True for active, as from :mod:`netsmith.sparsity`.
        growth: ``"gradient"`` (RigL) or ``"random"`` (SET).
        every: steps from one update to the next, >= 1.
        fraction: of the active weights that the first update drops, in (0, 1).
        end: share of the run after which masks stay.
        optimizer: whose state of dropped and grown weights becomes 0.
        seed: of random growth.

    Raises:
        NetsmithError: masks that do not fit, or settings out of range.
        UnknownNameError: another growth, or a mask for a parameter that the model does not have.
    """

    def __init__(
        self,
        model: nn.Module,
        masks: Mapping[str, Tensor],
        *,
        growth: Growth = "gradient",
        every: int = 100,
        fraction: float = 0.3,
        end: float = 0.75,
        optimizer: Optimizer | None = None,
        seed: int = 0,
    ) -> None:
        if growth not in ("gradient", "random"):
            raise UnknownNameError("growth", growth, ("gradient", "random"))
        if every < 1 or not 0 < fraction < 1 or not 0 < end <= 1:
            raise NetsmithError(
                f"every is {every}, fraction {fraction} and end {end}; expected every >= 1, fraction between "
                "0 and 1, and end above 0 up to 1"
            )
        self.masks = {name: mask.clone() for name, mask in masks.items()}
        self.growth, self.every, self.fraction, self.end = growth, every, fraction, end
        self.optimizer = optimizer
        self.generator = torch.Generator().manual_seed(seed)
        self._held = hold(model, self.masks)
        parameters = dict(unwrapped(model).named_parameters())
        self._parameters = {name: parameters[name] for name in self.masks}
        self._gradients: dict[str, Tensor] = {}
        self._hooks: list[Any] = []

    def __call__(self, model: nn.Module | None, clock: Clock) -> None:
        """Zero the masked weights after a step and, when it is time, change the masks."""
        self._held()
        fraction = drop_fraction(clock, initial=self.fraction, end=self.end)
        if clock.step % self.every == 0 and clock.progress < self.end:
            for name in self.masks:
                self._update(name, fraction)

    def __enter__(self) -> SparseTraining:
        trained = {name: p for name, p in self._parameters.items() if p.requires_grad}
        self._hooks = [self._watch(name, parameter) for name, parameter in trained.items()]
        self._held.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._held.__exit__(kind, value, trace)
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._gradients = [], {}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"masks": dict(self.masks), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        for name, mask in state["masks"].items():
            self.masks[name].copy_(mask)
        self.generator.set_state(state["generator"])

    def _watch(self, name: str, parameter: nn.Parameter) -> Any:
        # Before the mask: growing needs the gradients of weights that are not active.
        def keep(gradient: Tensor) -> None:
            self._gradients[name] = gradient.detach()

        return parameter.register_hook(keep)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _update(self, name: str, fraction: float) -> None:
        parameter, mask = self._parameters[name], self.masks[name]
        active = int(mask.sum())
        count = int(fraction * active)
        magnitudes = parameter.detach().abs().cpu().masked_fill(~mask.cpu(), -1.0)
        kept = _highest(magnitudes, active - count)
        appeal = self._appeal(name, parameter).masked_fill(kept, -1.0)
        grown = _highest(appeal, count)
        changed = (grown | (mask.cpu() & ~kept)).to(parameter.device)
        # In place: what holds the weights at zero shares these masks.
        mask.copy_(kept | grown)
        parameter.masked_fill_(changed, 0.0)
        if self.optimizer is not None:
            for one in self.optimizer.state.get(parameter, {}).values():
                if isinstance(one, Tensor) and one.shape == parameter.shape:
                    one.masked_fill_(changed, 0.0)

    def _appeal(self, name: str, parameter: Tensor) -> Tensor:
        if self.growth == "random":
            return torch.rand(parameter.shape, generator=self.generator)
        if name not in self._gradients:
            raise NetsmithError(
                f"there is no gradient of {name} to grow by; train inside `with SparseTraining(...)`, or "
                "leave weights out that the loss does not use"
            )
        return self._gradients[name].abs().float().cpu()


def _highest(values: Tensor, count: int) -> Tensor:
    order = torch.sort(values.flatten(), descending=True, stable=True).indices[:count]
    return torch.zeros(values.numel(), dtype=torch.bool).index_fill_(0, order, True).view(values.shape)
