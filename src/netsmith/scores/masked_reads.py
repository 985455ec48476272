"""What reads a group, with the entries for some of its channels at zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.graph import Group


def masked_reads(model: nn.Module, group: Group, keep: Tensor) -> dict[str, Tensor]:
    """Return copies of the tensors that read a group, zero where they read channels that do not stay.

    Called with these (``torch.func.functional_call``) the model computes what it would without the channels,
    but for a norm across them, whose statistics still see them.

    Args:
        model: untouched.
        group: a group of its graph.
        keep: bool ``[size]``, which channels stay.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    masked: dict[str, Tensor] = {}
    for one in group.slices:
        if one.role == "in":
            fresh = masked.setdefault(one.tensor, tensors[one.tensor].detach().clone())
            gone = one.index[~keep.to(one.index.device)].flatten()
            fresh.index_fill_(one.dim, gone.to(fresh.device), 0.0)
    return masked


def one_less(group: Group, channel: int) -> Tensor:
    """Return the keep of a group that removes one channel."""
    keep = torch.ones(group.size, dtype=torch.bool)
    keep[channel] = False
    return keep
