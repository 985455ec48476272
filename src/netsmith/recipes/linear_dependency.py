"""Linear dependency: remove what other channels predict, and fold it into them, until a budget holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from netsmith.cards import card
from netsmith.errors import BudgetError
from netsmith.recipes.calibration import calibration
from netsmith.recipes.chunks import absolute, chunks_of

if TYPE_CHECKING:
    from torch import nn

    from netsmith.cost.counting import CostTable
    from netsmith.recipes.job import Job


@card(
    title="Linear dependency: channels that the others predict, folded into them",
    paper="M. A. Shah, R. Olivier, B. Raj, 2020, arXiv:2005.14070",
    venue="ICPR 2020",
    differs=(
        "goes to a budget in chunks with training between them, the channels of all layers ranked together "
        "(the paper: layer by layer, until the accuracy falls by a tolerance, then distillation; a step that "
        "falls below is taken back: netsmith.cutting.annealing.anneal); regressions in closed form; a ridge "
        "instead of stopping where the weights grow"
    ),
)
def linear_dependency(job: Job) -> nn.Module:
    """Return the model cut to its budget in chunks, each compensated, trained between them and at the end.

    See :class:`~netsmith.scores.LinearDependency` and :func:`~netsmith.cutting.compensate.compensate`.

    Options:
        samples: training inputs for the regressions; more than there are channels.
        ridge: of the score's regressions, in units of the mean variance of the channels.
        weighted: whether the score counts the weights that read a channel.
        chunk: share of the remaining excess that one chunk removes, in (0, 1]; 1 cuts once.
        finetune: share of the epochs spent between chunks, in [0, 1]; the rest comes at the end.
        learning_rate: of all training; 0 takes the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached, or ``chunk`` or ``finetune`` is out of range.
        NetsmithError: an option that is unknown or out of range.
    """
    from netsmith.cutting.budgeting import cost_tables
    from netsmith.cutting.compensated import cut_and_compensate
    from netsmith.scores.linear_dependency import LinearDependency

    settings = job.settings(
        samples=512, ridge=1e-6, weighted=True, chunk=0.4, finetune=0.5, learning_rate=0.0
    )
    if not 0 <= settings["finetune"] <= 1:
        raise BudgetError(f"finetune={settings['finetune']} must be a share of the epochs, from 0 to 1")
    score = LinearDependency(ridge=settings["ridge"], weighted=settings["weighted"])
    chunks, rate = chunks_of(settings["chunk"]), settings["learning_rate"] or None
    between, spent = math.floor(job.epochs * settings["finetune"]), 0
    loss = calibration(job, settings["samples"])
    tables: dict[str, Any] = {**cost_tables(job.budget)}
    model, steps = job.model, job.notes.setdefault("steps", [])
    for number, target in enumerate(_targets(job, settings["chunk"], chunks, tables), start=1):
        model, step = cut_and_compensate(
            model,
            job.inputs,
            absolute(target),
            score,
            loss,
            round_to=job.round_to,
            **tables,
        )
        steps.append({"step": f"chunk {number}/{chunks}", "target": target, **step})
        job.log(f"chunk {number}/{chunks}: removed {sum(step['removed'].values())} channels")
        epochs = between * number // (chunks - 1) - spent if number < chunks else 0
        if epochs:
            job.fit(model, epochs=epochs, learning_rate=rate, stage=f"chunk{number}")
            spent += epochs
    job.fit(model, epochs=job.epochs - spent, learning_rate=rate, stage="finetune")
    return model


def _targets(job: Job, chunk: float, chunks: int, tables: dict[str, CostTable]) -> list[dict[str, float]]:
    """Return what the model may cost after each chunk; the last one is checked to be in reach."""
    from netsmith.cost import Cost
    from netsmith.cutting.shrink import shrink
    from netsmith.graph import trace

    first = Cost(trace(job.model, job.inputs), **tables).meter(set(job.budget.kinds))({})
    limits = job.budget.limits(first)
    options: dict[str, Any] = {**tables}
    shrink(job.model, job.inputs, budget=absolute(limits), round_to=job.round_to, verify=False, **options)
    lefts = [(1 - chunk) ** number for number in range(1, chunks)] + [0.0]
    return [
        {kind: limit + max(0.0, first[kind] - limit) * left for kind, limit in limits.items()}
        for left in lefts
    ]
