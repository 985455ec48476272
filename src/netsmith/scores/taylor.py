"""Taylor: the first-order change of the loss when a channel, or a weight, goes."""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.graph import StructureGraph
from netsmith.scores.elements import Elements, by_channel, differentiable, gradients


def _changes(model: nn.Module, loss: Loss | None) -> Elements:
    with differentiable(model):
        weights, slopes = gradients(model, loss, "taylor")
    return {name: w.detach() * g for (name, w), g in zip(weights.items(), slopes, strict=True)}


def taylor_elements(model: nn.Module, loss: Loss | None) -> Elements:
    """Score each weight by ``|w dL/dw|``, the size of the first-order change of the loss without it.

    One forward and one backward pass, on the batch of the loss, in evaluation mode.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    return {name: change.abs() for name, change in _changes(model, loss).items()}


@card(
    title="Taylor: first-order change of the loss without the channel",
    paper="P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, 2019, arXiv:1906.10771",
    venue="CVPR 2019",
    differs=(
        "the absolute value on one batch instead of the mean square over batches; the gate stands where "
        "the channel is read, so that the score is the change that its removal makes"
    ),
)
def taylor(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by the first-order change of the loss when it is removed.

    ``score(c) = |Σ_{w reads c} w dL/dw|``: the slope of the loss by a gate m = 1 on the channel where it is
    read. One forward and one backward pass. Near a minimum of the loss of the same batch it says little.

    Args:
        model: the model to score; left as found.
        loss: ``model -> scalar`` on one batch.
        graph: its structure graph.

    Returns:
        A tensor of shape ``[size]`` per group, in units of the loss; 0 for a channel that no weight reads.
        :func:`taylor_elements` has one per weight.

    Raises:
        NetsmithError: no loss, or one that is no scalar tensor.
    """
    sums = by_channel(_changes(model, loss), graph, role="in")
    return {name: change.abs() for name, change in sums.items()}
