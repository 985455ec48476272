"""Cut channels at random, then train what is left: the control every score has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from netsmith import scores
from netsmith.cards import card

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="Random pruning of whole channels, then fine-tuning (control)",
    paper="arXiv:1810.05270",
    venue="ICLR 2019",
    differs="the paper trains the cut network from new weights; here the surviving weights are kept",
)
def random(job: Job) -> nn.Module:
    """Return the model without channels drawn at random, fine-tuned for all epochs of the job.

    Scores are uniform in [0, 1), drawn from the job's seed; the lowest go until the budget holds.

    Options:
        scope: ``"global"`` ranks all channels together, ``"local"`` within each group.
        learning_rate: of the fine-tuning; 0 takes the trainer's default.
    """
    from netsmith.cutting.shrink import shrink

    settings = job.settings(scope="global", learning_rate=0.0)
    generator = torch.Generator().manual_seed(job.seed)
    small = shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=scores.Random(generator),
        round_to=job.round_to,
        scope=settings["scope"],
    )
    job.fit(small, epochs=job.epochs, learning_rate=settings["learning_rate"] or None, stage="finetune")
    return small
