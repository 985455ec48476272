"""Accelerated iterative magnitude pruning: a fifth of the weights at a time, with short rounds in between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netsmith.cards import card, require_served
from netsmith.errors import BudgetError, NetsmithError, UnknownNameError
from netsmith.recipes.nonzeros import density_for, note_nonzeros

if TYPE_CHECKING:
    from torch import nn

    from netsmith.cost import Budget
    from netsmith.recipes.job import Job
    from netsmith.sparsity import IterativeMagnitude, Rewind, Round

NAME = "accelerated-imp"


@card(
    title="Accelerated iterative magnitude pruning: short rounds, and a full one at the end",
    paper="M. Zullich, E. Medvet, F. A. Pellegrino, A. Ansuini, 2021, doi:10.1109/ICPR48806.2021.9412705",
    venue="ICPR 2020",
    differs=(
        "all rounds share the epochs of one job (the paper: each has its own), so with few epochs fewer and "
        "larger cuts are made; a short round goes through the whole schedule, compressed (unverified); the "
        "last cut stops at the budget"
    ),
    budgets=("params",),
    nonzeros=True,
)
def accelerated_imp(job: Job) -> nn.Module:
    """Return the model with its smallest weights at zero, pruned and trained in rounds, the last the longest.

    See :class:`netsmith.sparsity.IterativeMagnitude`. The budget is ``params`` alone: the parameters that are
    not zero. Tensors keep their shapes, so that MACs, bytes and time stay; ``compress`` counts non-zeros
    beside parameters; the notes have each round.

    Options:
        rate: share of the surviving weights that a round removes, in (0, 1); larger where the rounds would
            leave the last one less than half of the epochs.
        short: epochs of a short round over those of the last one, in (0, 1].
        rewind: ``"learning-rate"``, or ``"fine-tuning"`` at a low one. Rewinding weights needs those of the
            first training: :class:`netsmith.sparsity.WeightRewinding` in your own loop.
        scope: ``"global"`` ranks all weights together, ``"layer"`` those of each layer.
        learning_rate: 0 takes the trainer's default.

    Raises:
        BudgetError: a budget of another kind, or one below the biases and norms.
        NetsmithError: an option out of range.
    """
    from netsmith.sparsity import FineTuning, LearningRateRewinding

    rewinds: dict[str, Rewind] = {"learning-rate": LearningRateRewinding(), "fine-tuning": FineTuning()}
    settings = job.settings(rate=0.2, short=0.33, rewind="learning-rate", scope="global", learning_rate=0.0)
    if settings["rewind"] not in rewinds:
        raise UnknownNameError("rewind", settings["rewind"], rewinds)
    if not 0 < settings["short"] <= 1:
        raise NetsmithError(f"option short is {settings['short']}; expected a share, above 0 up to 1")
    require_served(accelerated_imp, job.budget, NAME)
    pruning = _in_rounds(job, settings["rate"], settings["scope"])
    short = max(1, int(job.epochs * settings["short"] / (1 + (pruning.iterations - 1) * settings["short"])))

    def train(model: nn.Module, now: Round) -> None:
        job.log(f"round {now.iteration}/{pruning.iterations}: {now.epochs} epochs")
        job.fit(
            model,
            epochs=now.epochs,
            schedule=now.schedule,
            after_step=now.after_step,
            learning_rate=settings["learning_rate"] or None,
            stage=f"round{now.iteration}",
        )

    history = pruning.run(
        train,
        epochs=job.epochs - (pruning.iterations - 1) * short,
        short_epochs=short,
        rewind=rewinds[settings["rewind"]],
    )
    note_nonzeros(job, NAME, pruning.masks)
    job.notes[NAME]["rounds"] = [{key: entry[key] for key in ("epochs", "survivors")} for entry in history]
    return job.model


def _in_rounds(job: Job, rate: float, scope: str) -> IterativeMagnitude:
    """Return the pruning to the job's budget, in rounds that leave half of the epochs to the last."""
    from netsmith.sparsity import IterativeMagnitude

    density = _density(job.model, job.budget)
    pruning = IterativeMagnitude(job.model, rate=rate, density=density, scope=scope)
    most = job.epochs // 2 + 1
    if pruning.iterations <= most:
        return pruning
    percent = math.ceil(100 * (1 - density ** (1 / most)))
    while pruning.iterations > most and percent < 100:
        pruning = IterativeMagnitude(job.model, rate=percent / 100, density=density, scope=scope)
        percent += 1  # whole weights may need a little more
    job.log(f"{job.epochs} epochs make {most} rounds at most: a round removes more than the share {rate}")
    return pruning


def _density(model: nn.Module, budget: Budget) -> float:
    density = density_for(model, budget, NAME)
    if density == 1:
        raise BudgetError(f"{NAME} has nothing to prune: the budget keeps every weight; lower params")
    return density


# Whether a budget can be met is known before anything is trained.
accelerated_imp.check_reachable = _density  # type: ignore[attr-defined]
