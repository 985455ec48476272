"""Wanda: the magnitude of a weight times the norm of the activations that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph
from netsmith.scores.elements import Elements, by_channel, forward, weights_of
from netsmith.scores.watching import Watch


class _Energies(Watch):
    """Adds up, per weight, the squares of what it reads, for each of its input channels."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__(weights)
        self.energies: dict[str, Tensor] = {}

    def seen(self, name: str, given: Mapping[str, Any], linear: bool) -> None:
        self._add(name, given["input"].detach(), -1 if linear else 1, given["weight"])

    def _add(self, name: str, read: Tensor, dim: int, weight: Tensor) -> None:
        # Without its sample dimension a convolution's input has its channels first.
        dim = dim if dim < 0 or read.dim() == weight.dim() else 0
        energy = read.movedim(dim, 0).flatten(1).square().sum(1, dtype=torch.float64)
        self.energies[name] = self.energies.get(name, 0) + energy


def wanda_elements(model: nn.Module, loss: Loss | None) -> Elements:
    """Score each weight by ``|W_ij| ‖X_j‖₂``, with X_j all that input channel j is in the batch of the loss.

    The norm goes over samples and positions. Weights are to be compared within their output's row. One that
    no linear layer or convolution uses as it is (raw products, parametrized weights) scores ``|W|``. One
    forward pass, in evaluation mode.

    Raises:
        NetsmithError: no loss.
    """
    weights = weights_of(model)
    with _Energies(weights) as watch:
        forward(model, loss, "wanda")
    scores = {}
    for name, weight in weights.items():
        magnitudes = weight.detach().abs()
        if name in watch.energies:
            norms = watch.energies[name].sqrt().to(weight.dtype).view(-1, weight.shape[1])
            # A grouped convolution: the outputs of group g read the g-th part of the inputs.
            rows = norms.repeat_interleave(len(weight) // len(norms), dim=0)
            magnitudes = magnitudes * rows.view(*weight.shape[:2], *[1] * (weight.dim() - 2))
        scores[name] = magnitudes
    return scores


@card(
    title="Wanda: weights times the activations they read",
    paper="M. Sun, Z. Liu, A. Bair, J. Z. Kolter, 2024, arXiv:2306.11695",
    venue="ICLR 2024",
    differs=(
        "a channel scores the sum over the weights that read it, relative to the mean of its group; "
        "convolutions take the norm over samples and positions"
    ),
)
def wanda(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by the weights that read it times the norm of what it is, relative to its group.

    ``score(c) = Σ_{W reads c} |W| ‖X_c‖ / mean_c'``. One forward pass, no gradients.

    Args:
        model: the model to score; left as found.
        loss: ``model -> scalar`` on one batch; only its forward pass counts.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group, mean 1 (all ones where nothing reads the group).
        :func:`wanda_elements` has one per weight.

    Raises:
        NetsmithError: no loss.
    """
    scores = {}
    for name, total in by_channel(wanda_elements(model, loss), graph, role="in").items():
        mean = total.mean()
        scores[name] = total / mean if mean > 0 else torch.ones_like(total)
    return scores
