"""Reconstruction: narrow every layer alike, refit what is left to what the whole network gave, fine-tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsmith.cards import card
from netsmith.errors import NetsmithError

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="Channel pruning with reconstruction by least squares",
    paper="Y. He, X. Zhang, J. Sun, 2017, arXiv:1707.06168",
    venue="ICCV 2017",
    differs=(
        "channels are chosen by magnitude, the same share of every group (the paper: by LASSO on what a "
        "layer reads, with ratios set by hand); all layers behind the cut are refitted in one pass, each "
        "seeing the errors of those before it; what errors add up to in a residual stream is not corrected"
    ),
)
def reconstruction(job: Job) -> nn.Module:
    """Return the model cut to its budget, refitted layer by layer on training inputs, and fine-tuned.

    See :func:`~netsmith.cutting.reconstruct.reconstruct_`. What the refitting brings back a high learning
    rate throws away again, so that fine-tuning takes a share of the usual one.

    Options:
        scope: ``"local"`` takes the same share of every group, ``"global"`` ranks all channels together.
        depth: let whole residual blocks go, too.
        samples: training inputs that the layers are refitted on.
        ridge: pull towards the weights as they were cut, relative to the mean square of a layer's inputs.
        rate: learning rate of the fine-tuning, as a share of the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached.
        NetsmithError: an option that is unknown or out of range.
    """
    from netsmith import scores
    from netsmith.cutting.reconstruct import reconstruct_
    from netsmith.cutting.shrink import shrink
    from netsmith.recipes.calibration import calibration
    from netsmith.train import default_optimizer

    settings = job.settings(scope="local", depth=False, samples=512, ridge=1e-3, rate=0.5)
    if not settings["rate"] > 0 or settings["samples"] < 1:
        raise NetsmithError(
            f"rate={settings['rate']} must be above 0 and samples={settings['samples']} at least 1"
        )
    small = shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=scores.magnitude,
        round_to=job.round_to,
        scope=settings["scope"],
        depth=settings["depth"],
    )
    loss = calibration(job, settings["samples"])
    job.notes["refitted"] = reconstruct_(small, job.model, loss, ridge=settings["ridge"], seed=job.seed)
    job.log(f"refitted {len(job.notes['refitted'])} layers to the outputs they had before the cut")
    usual = job.task.defaults.learning_rate or default_optimizer(small).param_groups[0]["lr"]
    job.fit(small, epochs=job.epochs, learning_rate=settings["rate"] * usual, stage="finetune")
    return small
