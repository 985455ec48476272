"""Cut the channels that add least to the network on average over which others there are, then train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsmith import scores
from netsmith.cards import card
from netsmith.recipes.calibration import calibration

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="Shapley values of channels, then fine-tuning",
    paper="R. Okhrati, A. Lipani, 2020, arXiv:2010.12082",
    venue="ICPR 2020",
    differs=(
        "the paper estimates Shapley values of inputs and prunes nothing; here channels are the players, "
        "minus the training loss is what they earn, and those that earn least are cut at once"
    ),
)
def shapley(job: Job) -> nn.Module:
    """Return the model without its channels of least Shapley value, fine-tuned for all epochs of the job.

    ``2 * coalitions`` forward passes of the samples per channel; see :class:`~netsmith.scores.Shapley`.

    Options:
        coalitions: draws per group of channels.
        samples: training inputs that the loss is taken on.
        scope: ``"local"`` ranks within each group; ``"global"`` ranks all channels together, although what
            layers are worth differs: without an early one a network may be sure of wrong answers.
        learning_rate: of the fine-tuning; 0 takes the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached.
        NetsmithError: an option that is unknown or out of range.
    """
    from netsmith.cutting.shrink import shrink

    settings = job.settings(coalitions=8, samples=128, scope="local", learning_rate=0.0)
    score = scores.Shapley(coalitions=settings["coalitions"], seed=job.seed)
    small = shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=score,
        loss=calibration(job, settings["samples"]),
        round_to=job.round_to,
        scope=settings["scope"],
    )
    largest = max((float(errors.max()) for errors in score.errors.values()), default=0.0)
    job.notes["shapley"] = {"largest_standard_error": largest, "coalitions": settings["coalitions"]}
    job.log(f"Shapley values of channels, in units of the loss, to {largest:.2g} (one standard error)")
    job.fit(small, epochs=job.epochs, learning_rate=settings["learning_rate"] or None, stage="finetune")
    return small
