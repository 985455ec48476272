"""Cut the channels with the smallest weights, then train what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsmith import scores
from netsmith.cards import card

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="Magnitude pruning of whole channels, then fine-tuning",
    paper="arXiv:1608.08710",
    venue="ICLR 2017",
    differs=(
        "ranks by the norm of all weights a channel owns (the paper: the l1 norm of its filter), over the "
        "whole network at once unless scope is local (the paper: a hand-set ratio per layer), and cuts once"
    ),
)
def magnitude(job: Job) -> nn.Module:
    r"""Return the model without its channels of smallest magnitude, fine-tuned for all epochs of the job.

    A channel's score is the norm of the weights it owns; the lowest go until the budget holds.

    Options:
        scope: ``"global"`` ranks all channels together, ``"local"`` within each group.
        learning_rate: of the fine-tuning; 0 takes the trainer's default.
    """
    from netsmith.cutting.shrink import shrink

    settings = job.settings(scope="global", learning_rate=0.0)
    small = shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=scores.magnitude,
        round_to=job.round_to,
        scope=settings["scope"],
    )
    job.fit(small, epochs=job.epochs, learning_rate=settings["learning_rate"] or None, stage="finetune")
    return small
