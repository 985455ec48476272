"""Random scores: the control every other score has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph


@card(title="Random", paper="Mittal et al. 2018, arXiv:1801.10447", venue="WACV 2018")
class Random:
    """Score channels at random, uniformly in [0, 1).

    Args:
        generator: source of randomness; default a fresh one seeded with 0.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator if generator is not None else torch.Generator().manual_seed(0)

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a tensor of shape ``[size]`` per group."""
        return {group.name: torch.rand(group.size, generator=self.generator) for group in graph.groups}
