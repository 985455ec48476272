"""DeepHoyer: train until whole channels are near zero, cut them, train what is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.penalties.channels import ChannelNorms
from netsmith.penalties.group_hoyer_square import GroupHoyerSquare
from netsmith.recipes.strength_ramp import StrengthRamp

if TYPE_CHECKING:
    from netsmith.contracts import Keep, Loss
    from netsmith.graph import StructureGraph
    from netsmith.recipes.job import Job


LEAVING = 0.5
"""A channel with a score below this share of its bar is going: the penalty draws it to zero."""


def trimming(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by its norm over the bar at which Group-Hoyer-Square turns from trimming to growing.

    ``score(c) = n_c * sum n / sum n^2`` over the channels of its group: 1 is the bar, 0 a channel that has
    gone, and groups of different scale or with different numbers of survivors compare. A group that is all
    zero, or owns no weight, scores 1.
    """
    scores = {group.name: torch.ones(group.size, dtype=torch.float64) for group in graph.groups}
    with torch.no_grad():
        norms = ChannelNorms(graph).by_group(model)
    for name, own in norms.items():
        if own.any():
            scores[name] = own.double().cpu() * float(own.sum() / own.square().sum())
    return scores


def staying(graph: StructureGraph) -> Callable[[nn.Module], Keep]:
    """Return ``model -> keep``: the channels whose :func:`trimming` score is at least ``LEAVING``."""
    return lambda model: {name: score >= LEAVING for name, score in trimming(model, None, graph).items()}


@card(
    title="DeepHoyer, structural: sparse training with Group-Hoyer-Square, cut, fine-tune",
    paper="arXiv:1908.09979",
    venue="ICLR 2020",
    differs="groups are the coupled channels of the whole network; the strength follows the budget unless "
    "fixed; channels go, lowest share of the trimming threshold first, until the budget holds",
)
def deephoyer(job: Job) -> nn.Module:
    """Return the model without the channels that sparse training drove lowest, fine-tuned.

    Options:
        strength: of the penalty at the start, loss units per effective channel.
        adapt: whether the strength then follows the budget, or stays.
        sparse: share of the epochs that train with the penalty, between 0 and 1; the others fine-tune.
        learning_rate: of the sparse training; 0 takes the trainer's default.
        finetune_rate: of the fine-tuning; 0 takes the trainer's default.
        scope: ``"global"`` ranks all channels together, ``"local"`` within each group.

    Raises:
        NetsmithError: ``sparse`` is not between 0 and 1, or ``strength`` is negative or not finite.
    """
    import netsmith as ns

    settings = job.settings(
        strength=1e-3, adapt=True, sparse=0.5, learning_rate=0.0, finetune_rate=0.0, scope="global"
    )
    if not 0 <= settings["sparse"] <= 1:
        raise NetsmithError(
            f"option sparse is {settings['sparse']}; expected the share of epochs with the penalty, 0 to 1"
        )
    epochs = round(job.epochs * settings["sparse"])
    graph = ns.trace(job.model, job.inputs)
    penalty = GroupHoyerSquare(graph, strength=settings["strength"])
    ramp = StrengthRamp(penalty, graph, job.budget, staying(graph))
    job.fit(
        job.model,
        epochs=epochs,
        penalty=penalty,
        after_step=ramp if settings["adapt"] else None,
        # The rate stays up until the cut: a rate that falls would end the trimming before it is done.
        schedule="constant",
        learning_rate=settings["learning_rate"] or None,
        stage="sparse",
    )
    excess = ramp.excess(job.model)
    job.notes["deephoyer"] = {
        "sparse_epochs": epochs,
        "strength_at_the_end": penalty.strength,
        "cost_over_budget_before_the_cut": excess,
    }
    job.log(f"channels that sparse training left cost {excess:.2f} of the budget; cutting to it")
    small = ns.shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=trimming,
        round_to=job.round_to,
        scope=settings["scope"],
    )
    job.fit(
        small,
        epochs=job.epochs - epochs,
        learning_rate=settings["finetune_rate"] or None,
        stage="finetune",
    )
    return small
