"""The five contracts a method can fulfil, and the notions they share.

Each is a structural protocol: an object fulfils it by having the members, never by inheriting.

Shared notions
    group
        Channels that sit beside each other and can each be removed on their own, with everything coupled
        to them (:class:`netsmith.graph.Group`). A group of ``size`` n has n channels.
    keep
        Which channels stay: a mapping from group name to a bool tensor of shape ``[size]``. A group that is
        not mentioned stays whole.
    loss
        A callable ``model -> scalar tensor`` for one representative batch; a method that needs no data
        ignores it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

if TYPE_CHECKING:
    from netsmith.graph import StructureGraph

Keep = Mapping[str, Tensor]
Loss = Callable[[nn.Module], Tensor]
Inputs = Any
"""What a model is called with: one tensor, a tuple of arguments, or a dict of keyword arguments."""


@runtime_checkable
class Penalty(Protocol):
    """A differentiable measure of structure: ``model -> scalar``, added to the task loss.

    Finite on every finite model (an all-zero tensor leaves the sum), and leaves the model as found.
    """

    def __call__(self, model: nn.Module) -> Tensor:
        """Return the penalty, a scalar in loss units that carries a gradient to the parameters."""
        ...


@runtime_checkable
class Projection(Protocol):
    """A map from any tensor to an allowed one: ``tensor -> tensor`` of the same shape, dtype and device.

    Idempotent; the input is untouched; the nearest allowed tensor unless its card says otherwise.
    """

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the projected tensor."""
        ...


@runtime_checkable
class LinearMinimiser(Protocol):
    """A projection that also has its Frank–Wolfe twin."""

    def minimise_linear(self, gradient: Tensor) -> Tensor:
        """Return a vertex of the constraint set that minimises ``<gradient, vertex>``."""
        ...


@runtime_checkable
class Score(Protocol):
    """How much each channel matters: one tensor ``[size]`` per group; the lowest scores go first.

    Leaves values, gradients, modes, hooks and the random state as found, also when the loss raises.
    """

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a score for every group of the graph, by group name."""
        ...


@runtime_checkable
class Edit(Protocol):
    """A change of a model's shape that can be replayed on a fresh instance from its records.

    What it changes beyond the model and the graph (which channels stay, how many come) is its own argument.
    The given model is untouched unless ``inplace``; what cannot be done whole is not begun.
    """

    def __call__(
        self, model: nn.Module, graph: StructureGraph, *change: Any, inplace: bool = False
    ) -> tuple[nn.Module, list[dict[str, Any]]]:
        """Return the edited model, of the same class, and plain-data records of exactly what changed."""
        ...


Candidate = TypeVar("Candidate")


@runtime_checkable
class Search(Protocol[Candidate]):
    """A seeded, resumable search: ask for a candidate, tell what it was worth."""

    def ask(self) -> Candidate:
        """Return the next candidate; the same seed and the same answers ask the same."""
        ...

    def tell(self, candidate: Candidate, value: float) -> None:
        """Report the value of a candidate; lower is better."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on later."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        ...


class Clock(Protocol):
    """Where a training run stands; schedules take it as an argument instead of counting by themselves."""

    @property
    def step(self) -> int:
        """Optimiser steps done so far."""
        ...

    @property
    def epoch(self) -> int:
        """Full passes over the data done so far."""
        ...

    @property
    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        ...
