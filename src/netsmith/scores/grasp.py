"""GraSP: which weights the flow of gradients through the network needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph
from netsmith.scores.elements import Elements, by_channel, differentiable, gradients


def grasp_elements(model: nn.Module, loss: Loss | None) -> Elements:
    """Score each weight by ``w (H g)_w``, with g the gradient of the loss and H its Hessian.

    To first order, removing w lowers ``‖g‖²`` by twice its score: the lowest, signed, go first. One forward
    and one backward pass and one pass back through that backward pass, in evaluation mode.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
        RuntimeError: from PyTorch, for an operator that cannot be differentiated twice.
    """
    # Fused attention has no second derivative.
    with differentiable(model), sdpa_kernel(SDPBackend.MATH):
        weights, slopes = gradients(model, loss, "grasp", create_graph=True)
        flow = sum((slope * slope.detach()).sum() for slope in slopes if slope.requires_grad)
        if not isinstance(flow, Tensor):
            return {name: torch.zeros_like(w) for name, w in weights.items()}
        curved = torch.autograd.grad(flow, list(weights.values()), materialize_grads=True)
    return {name: w.detach() * h for (name, w), h in zip(weights.items(), curved, strict=True)}


@card(
    title="GraSP: what the flow of gradients needs",
    paper="C. Wang, G. Zhang, R. Grosse, 2020, arXiv:2002.07376",
    venue="ICLR 2020",
    differs=(
        "the sign is turned, so that the lowest go first; a channel scores the sum over its weights; in "
        "evaluation mode; the temperature of the logits (200 in the paper) is left to the loss"
    ),
)
def grasp(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by how much gradient flow ``‖g‖²`` goes with the weights it owns.

    ``score(c) = Σ_{w of c} w (H g)_w``, signed. Meant for networks at initialisation. One forward and one
    backward pass and one pass back through that backward pass.

    Args:
        model: the model to score; left as found.
        loss: ``model -> scalar`` on one batch.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group; :func:`grasp_elements` has one per weight.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
        RuntimeError: from PyTorch, for an operator that cannot be differentiated twice.
    """
    return by_channel(grasp_elements(model, loss), graph)
