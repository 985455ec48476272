"""Optimal brain damage: the second-order change of the loss when a weight goes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.errors import NetsmithError
from netsmith.scores.elements import Elements, differentiable, gradients


@card(
    title="Optimal brain damage",
    paper="Y. LeCun, J. Denker, S. Solla, 1989",
    venue="NIPS 1989",
    differs=(
        "the Hessian's diagonal is estimated with random signs (Hutchinson; Bekas, Kokiopoulou, Saad 2007) "
        "instead of propagated back, so that it may come out below 0"
    ),
)
def obd_elements(model: nn.Module, loss: Loss | None, *, draws: int = 8, seed: int = 0) -> Elements:
    """Score each weight by ``H_ww w² / 2``, the loss that its removal costs at a minimum.

    ``diag H ≈ mean v ⊙ H v`` over random signs v: exact when H is diagonal, else with the off-diagonal
    entries as noise. One forward and one backward pass, and ``draws`` passes back through that.

    Raises:
        NetsmithError: no loss, one that is no scalar tensor, or no draw.
        RuntimeError: from PyTorch, for an operator that cannot be differentiated twice.
    """
    if draws < 1:
        raise NetsmithError(f"draws is {draws}; expected at least 1")
    generator = torch.Generator().manual_seed(seed)
    # Fused attention has no second derivative.
    with differentiable(model), sdpa_kernel(SDPBackend.MATH):
        weights, slopes = gradients(model, loss, "obd", create_graph=True)
        diagonals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for _ in range(draws):
            signs = [_signs(weight, generator) for weight in weights.values()]
            pairs = zip(slopes, signs, strict=True)
            along = sum((slope * sign).sum() for slope, sign in pairs if slope.requires_grad)
            if not isinstance(along, Tensor):
                break
            curved = torch.autograd.grad(
                along, list(weights.values()), retain_graph=True, materialize_grads=True
            )
            for name, sign, h in zip(weights, signs, curved, strict=True):
                diagonals[name] += sign * h / draws
    return {name: 0.5 * diagonals[name] * weight.detach().square() for name, weight in weights.items()}


def _signs(weight: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randint(0, 2, weight.shape, generator=generator) * 2 - 1
    return drawn.to(weight.device, weight.dtype)
