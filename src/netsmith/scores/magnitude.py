"""Magnitude: the norm of everything a channel owns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph

BLOCK = 1 << 19
"""How many numbers are squared at a time."""


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
    energies: dict[tuple[str, int], Tensor] = {}
    scores = {}
    for group in graph.groups:
        total = torch.zeros(group.size, dtype=torch.float64)
        for item in group.slices:
            weight = tensors.get(item.tensor)
            if weight is None or weight.dim() < 2:
                continue
            if (item.tensor, item.dim) not in energies:
                energies |= {(item.tensor, dim): sums for dim, sums in _energies(weight.detach(), item.dim)}
            total += energies[item.tensor, item.dim][item.index].sum(dim=1)
        norms = total.sqrt()
        mean = norms.mean()
        scores[group.name] = norms / mean if mean > 0 else torch.ones_like(norms)
    return scores


def _energies(weight: Tensor, dim: int) -> list[tuple[int, Tensor]]:
    """Return the sums of squares at each index of a dimension, and of the first two as they come with it.

    A weight is read in blocks: its squares in double precision are larger than itself.
    """
    if dim > 1:
        weight = weight.movedim(dim, 0)
    rows, columns = [], torch.zeros(weight.shape[1], dtype=torch.float64)
    for block in torch.split(weight, max(1, BLOCK // weight[0].numel())):
        if weight.dim() > 2:
            precision = torch.promote_types(weight.dtype, torch.float32)
            block = torch.linalg.vector_norm(block.flatten(2), dim=2, dtype=precision)
        squares = block.double().square().cpu()
        rows.append(squares.sum(dim=1))
        columns += squares.sum(dim=0)
    return [(dim, torch.cat(rows))] if dim > 1 else [(0, torch.cat(rows)), (1, columns)]
