"""Magnitude: the norm of everything a channel owns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph


@card(
    title="Magnitude",
    paper="Li et al. 2017, arXiv:1608.08710",
    venue="ICLR 2017",
    differs="the l2 norm over every weight coupled to the channel instead of the l1 norm of its filter alone",
)
def magnitude(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by the l2 norm of all weights it owns, relative to the mean of its group.

    ``score(c) = ‖w_c‖ / mean_c' ‖w_c'‖`` with ``w_c`` all entries of tensors with two or more dimensions that
    go when channel c goes (the filters that make it, the kernels that read it). Dividing by the group's mean
    makes layers of different scale comparable.

    Args:
        model: the model to score; left as found.
        loss: not used.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group, mean 1 (all ones for a group that is all zero).
    """
    tensors = dict(model.named_parameters())
    energies: dict[str, Tensor] = {}
    scores = {}
    for group in graph.groups:
        total = torch.zeros(group.size, dtype=torch.float64)
        for item in group.slices:
            weight = tensors.get(item.tensor)
            if weight is None or weight.dim() < 2:
                continue
            if item.tensor not in energies:
                energies[item.tensor] = _energy(weight.detach())
            energy = energies[item.tensor] if item.dim < 2 else weight.detach().double().square().cpu()
            others = [dim for dim in range(energy.dim()) if dim != item.dim]
            total += energy.sum(dim=others)[item.index].sum(dim=1)
        norms = total.sqrt()
        mean = norms.mean()
        scores[group.name] = norms / mean if mean > 0 else torch.ones_like(norms)
    return scores


def _energy(weight: Tensor) -> Tensor:
    """Return the sums of squares over all but the first two dimensions, so that a weight is read once."""
    if weight.dim() == 2:
        return weight.double().square().cpu()
    precision = torch.promote_types(weight.dtype, torch.float32)
    energy: Tensor = torch.linalg.vector_norm(weight.flatten(2), dim=2, dtype=precision).double().square()
    return energy.cpu()
