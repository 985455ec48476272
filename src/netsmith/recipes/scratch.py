"""A narrower network of the same kind, trained from new weights: the control that every cut has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from netsmith import scores
from netsmith.cards import card
from netsmith.training.reinitialise import reinitialise_

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="A uniformly narrower network trained from scratch (control)",
    paper="arXiv:1810.05270",
    venue="ICLR 2019",
    differs=(
        "trained for the epochs of the job alone, without those the dense network had (the paper's Scratch-E "
        "counts epochs alike, its Scratch-B operations); every group is narrowed by the same share"
    ),
)
def scratch(job: Job) -> nn.Module:
    """Return the model with the same share of every group's channels, re-initialised, trained for all epochs.

    Nothing that the dense network learned is used, so what a method adds is what it has above this.

    Options:
        learning_rate: of the training; 0 takes the trainer's default.

    Raises:
        NetsmithError: a weight that its module cannot initialise anew.
    """
    from netsmith.cutting.shrink import shrink

    settings = job.settings(learning_rate=0.0)
    # Which channels stay does not matter, because none keeps its weights.
    small = shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=scores.Random(torch.Generator().manual_seed(job.seed)),
        round_to=job.round_to,
        scope="local",
    )
    reinitialise_(small, job.seed)
    job.fit(small, epochs=job.epochs, learning_rate=settings["learning_rate"] or None, stage="scratch")
    return small
