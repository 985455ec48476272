"""DeepHoyer's three stages on single weights: train with a penalty, zero what is small, train the rest.

A loop of its own, for networks so small that the general trainer's per-step work would count: the whole set
is in memory, batches are drawn by index.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.contracts import Penalty
from netsmith.masks import hold, threshold_masks


@dataclass(frozen=True)
class Split:
    """Inputs and targets to train on, and held-out ones to measure on."""

    inputs: Tensor
    targets: Tensor
    held_inputs: Tensor
    held_targets: Tensor

    @torch.no_grad()
    def accuracy(self, model: nn.Module) -> float:
        """Return the held-out accuracy in percent."""
        parts = zip(self.held_inputs.split(2000), self.held_targets.split(2000), strict=True)
        return 100 * sum(int((model(x).argmax(1) == y).sum()) for x, y in parts) / len(self.held_targets)


def half_cosine(progress: float) -> float:
    """Return 1 for the first half of a run, then a cosine down to 0."""
    return 1.0 if progress < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * progress - 1)))


def cosine(progress: float) -> float:
    """Return a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def train(
    model: nn.Module,
    data: Split,
    *,
    epochs: int,
    generator: torch.Generator,
    penalty: Penalty | None = None,
    after_step: Callable[[], None] | None = None,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    schedule: Callable[[float], float] = half_cosine,
) -> None:
    """Train with Adam and no weight decay."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    per_epoch = len(data.inputs) // batch_size
    for step in range(epochs * per_epoch):
        if step % per_epoch == 0:
            batches = torch.randperm(len(data.inputs), generator=generator).split(batch_size)
        index = batches[step % per_epoch]
        optimizer.param_groups[0]["lr"] = learning_rate * schedule(step / (epochs * per_epoch))
        loss = F.cross_entropy(model(data.inputs[index]), data.targets[index])
        if penalty is not None:
            loss = loss + penalty(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()


def prune(
    model: nn.Module,
    data: Split,
    *,
    deviations: float,
    epochs: int,
    generator: torch.Generator,
    batch_size: int = 100,
) -> int:
    """Zero the weights below ``deviations`` standard deviations, fine-tune, and return how many are left."""
    with hold(model, threshold_masks(model, rule="std", value=deviations)) as keep:
        train(model, data, epochs=epochs, generator=generator, after_step=keep, batch_size=batch_size)
    return sum(int((w != 0).sum()) for w in model.parameters() if w.dim() >= 2)
