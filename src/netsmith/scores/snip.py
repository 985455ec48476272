"""SNIP: how sensitive the loss is to a connection being there, relative to all others."""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph
from netsmith.scores.elements import Elements, by_channel, differentiable, gradients


def snip_elements(model: nn.Module, loss: Loss | None) -> Elements:
    """Score each weight by ``|w dL/dw| / Σ |w dL/dw|``, the sum over all weights of the network.

    One forward and one backward pass, on the batch of the loss, in evaluation mode.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    with differentiable(model):
        weights, slopes = gradients(model, loss, "snip")
    products = {name: (w.detach() * g).abs() for (name, w), g in zip(weights.items(), slopes, strict=True)}
    total = sum(float(product.double().sum()) for product in products.values())
    return {name: product / total if total > 0 else product for name, product in products.items()}


@card(
    title="SNIP: connection sensitivity, summed over a channel",
    paper="N. Lee, T. Ajanthan, P. Torr, 2019, arXiv:1810.02340",
    venue="ICLR 2019",
    differs="a channel scores the sum over its connections; in evaluation mode, at any time in training",
)
def snip(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by the share of the network's connection sensitivity in the weights it owns.

    ``score(c) = Σ_{w of c} |w dL/dw| / Σ_w |w dL/dw|``. One forward and one backward pass.

    Args:
        model: the model to score; left as found.
        loss: ``model -> scalar`` on one batch.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group; :func:`snip_elements` has one per weight.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    return by_channel(snip_elements(model, loss), graph)
