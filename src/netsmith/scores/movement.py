"""Movement: weights that training takes away from zero matter, weights on their way to zero do not."""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph
from netsmith.scores.elements import Elements, by_channel, differentiable, gradients


def movement_elements(model: nn.Module, loss: Loss | None) -> Elements:
    """Score each weight by ``-w dL/dw``: positive where a step down the gradient makes ``|w|`` larger.

    One forward and one backward pass, on the batch of the loss, in evaluation mode. The paper adds these up
    over the steps of a fine-tuning: call it once per step and sum.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    with differentiable(model):
        weights, slopes = gradients(model, loss, "movement")
    return {name: -w.detach() * g for (name, w), g in zip(weights.items(), slopes, strict=True)}


@card(
    title="Movement: does training take the weights of a channel away from zero?",
    paper="V. Sanh, T. Wolf, A. Rush, 2020, arXiv:2005.07683",
    venue="NeurIPS 2020",
    differs=(
        "of one step instead of the sum over the steps of a fine-tuning; a channel scores the sum over its "
        "weights"
    ),
)
def movement(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by how fast a step down the gradient takes its weights away from zero.

    ``score(c) = -Σ_{w of c} w dL/dw``; signed, half the rate at which ``‖w_c‖²`` grows under gradient flow.
    One forward and one backward pass. On a converged network it is noise around 0.

    Args:
        model: the model to score; left as found.
        loss: ``model -> scalar`` on one batch.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group; :func:`movement_elements` has one per weight.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    return by_channel(movement_elements(model, loss), graph)
