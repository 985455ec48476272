"""A narrower network of the same kind, trained from new weights: the control that every cut has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from netsmith import scores
from netsmith.cards import card
from netsmith.errors import NetsmithError

if TYPE_CHECKING:
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


def reinitialise_(model: nn.Module, seed: int) -> None:
    """Give every weight and buffer new values in place, by its module's own ``reset_parameters``.

    Raises:
        NetsmithError: a module holds weights of its own and has no ``reset_parameters``; nothing is changed.
    """
    for name, module in model.named_modules():
        own = next((key for key, _ in module.named_parameters(recurse=False)), None)
        if own is not None and not hasattr(module, "reset_parameters"):
            raise NetsmithError(
                f"{type(module).__name__} {name!r} cannot initialise its {own!r} anew; give it a method "
                "reset_parameters, or leave the method scratch out"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset: Callable[[], None] | None = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()
