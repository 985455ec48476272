"""Zero the smallest weights, a few at a time while the network trains on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netsmith.cards import card, require_served
from netsmith.errors import NetsmithError
from netsmith.recipes.nonzeros import density_for, note_nonzeros

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="Gradual magnitude pruning of single weights on a cubic schedule",
    paper="M. Zhu, S. Gupta, 2017, arXiv:1710.01878",
    venue="ICLR 2018 workshop",
    differs=(
        "all weights are ranked together (the paper: the same sparsity in every layer); the ramp starts at "
        "once, as the network is trained already"
    ),
    budgets=("params",),
    nonzeros=True,
)
def gradual_magnitude(job: Job) -> nn.Module:
    """Return the model with its smallest weights at zero, pruned along a cubic ramp.

    The budget is ``params`` alone: the parameters that are not zero. Tensors keep their shapes, so that MACs,
    bytes and time stay; ``compress`` counts non-zeros beside parameters.

    Options:
        ramp: share of the epochs that the ramp takes, above 0 up to 1; the others train with what is left.
        every: steps from one update to the next.
        learning_rate: 0 takes the trainer's default.

    Raises:
        BudgetError: a budget of another kind, or one below the biases and norms.
        NetsmithError: an option out of range.
    """
    from netsmith.sparsity import GradualPruning, cubic

    settings = job.settings(ramp=0.75, every=50, learning_rate=0.0)
    if not 0 < settings["ramp"] <= 1:
        raise NetsmithError(
            f"option ramp is {settings['ramp']}; expected the share of epochs, above 0 up to 1"
        )
    require_served(gradual_magnitude, job.budget, "gradual-magnitude")
    density = density_for(job.model, job.budget, "gradual-magnitude")
    schedule = partial(cubic, final=1 - density, end=settings["ramp"])
    pruning = GradualPruning(job.model, schedule, every=settings["every"])
    with pruning:
        job.fit(
            job.model,
            epochs=job.epochs,
            after_step=pruning,
            learning_rate=settings["learning_rate"] or None,
            stage="finetune",
        )
    note_nonzeros(job, "gradual-magnitude", pruning.masks)
    return job.model


# Whether a budget can be met is known before anything is trained.
gradual_magnitude.check_reachable = partial(density_for, method="gradual-magnitude")  # type: ignore[attr-defined]
