"""Scores of single weights: their gradients, and their sums over what a channel owns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from netsmith.contracts import Loss
from netsmith.errors import NetsmithError
from netsmith.graph import StructureGraph
from netsmith.graph.grouping import Role
from netsmith.modes import evaluating

Elements = dict[str, Tensor]
"""One tensor per weight (a floating-point parameter of two or more dimensions), of its shape, by its name."""


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of a model by name: floating-point parameters of two or more dimensions."""
    return {n: p for n, p in model.named_parameters() if p.dim() >= 2 and p.is_floating_point()}


def gradients(
    model: nn.Module, loss: Loss | None, score: str, *, create_graph: bool = False
) -> tuple[dict[str, nn.Parameter], tuple[Tensor, ...]]:
    """Return the weights of a model, and the gradient of the loss by each of them; zero where it is unused.

    One forward and one backward pass. Call it inside :func:`differentiable`.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    weights = weights_of(model)
    value = value_of(model, loss, score)
    if not value.requires_grad:
        raise NetsmithError(
            f"the loss for the score {score} does not depend on the weights; expected one with gradients"
        )
    return weights, torch.autograd.grad(
        value, list(weights.values()), create_graph=create_graph, materialize_grads=True
    )


def forward(model: nn.Module, loss: Loss | None, score: str) -> None:
    """Run the model once, as the loss runs it, in evaluation mode and without gradients."""
    with evaluating(model), torch.no_grad():
        value_of(model, loss, score)


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode with gradients for all its weights; everything comes back."""
    frozen = [weight for weight in weights_of(model).values() if not weight.requires_grad]
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        try:
            for weight in frozen:
                weight.requires_grad_(True)
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)


def by_channel(
    elements: Mapping[str, Tensor], graph: StructureGraph, *, role: Role | None = None
) -> dict[str, Tensor]:
    """Return, per group, the sum ``[size]`` of the elements that each channel owns.

    Args:
        elements: one tensor per weight, of its shape; a tensor that is not there adds nothing.
        graph: the structure graph.
        role: add up only the slices with this role, ``"in"`` for what reads the channel.
    """
    totals = {}
    for group in graph.groups:
        total = torch.zeros(group.size, dtype=torch.float64)
        for one in group.slices:
            values = elements.get(one.tensor)
            if values is not None and role in (None, one.role):
                sums = values.detach().movedim(one.dim, 0).flatten(1).sum(1, dtype=torch.float64).cpu()
                total += sums[one.index].sum(1)
        totals[group.name] = total
    return totals


def value_of(model: nn.Module, loss: Loss | None, score: str) -> Tensor:
    """Return the loss of a model, checked to be a scalar.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    if loss is None:
        raise NetsmithError(
            f"the score {score} needs data and got no loss; give loss=lambda model: ... for one batch"
        )
    value = loss(model)
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise NetsmithError(f"the loss for the score {score} returned {found}; expected a scalar tensor")
    return value.sum()
