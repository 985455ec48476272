"""HFP: remove the channels with the least information gain, chunk by chunk, until a measured budget holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netsmith.cards import card
from netsmith.errors import BudgetError, NetsmithError
from netsmith.recipes.calibration import calibration_batch

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="HFP: hardware-aware filter pruning with information gain and Opti-Cut",
    paper="F. Yu, C. Han, P. Wang, R. Huang, X. Huang, L. Cui, 2020",
    venue="ICPR 2020",
    differs=(
        "information gain and the rule for chunks are reconstructed from the abstract; any budget, not only "
        "latency; the true latency is checked before the final fine-tuning, which does not change it"
    ),
)
def hfp(job: Job) -> nn.Module:
    """Return the model cut to its budget by information gain, in chunks with short fine-tuning between them.

    A latency budget is predicted from the table measured on this machine and verified at the end, and takes
    widths at which time really falls. See
    :class:`~netsmith.recipes.opti_cut.OptiCut` and :class:`~netsmith.scores.InformationGain`.

    Options:
        method: ``"fisher"`` or ``"exact"`` information gain.
        samples: training inputs to compute it on.
        temperature: of the softmax; above 1 because training inputs may be memorised.
        chunk: share of the remaining excess that one chunk removes, in (0, 1]; 1 cuts once.
        per_cost: rank by gain per cost saved. The paper ranks by gain alone; that cuts last layers, whose
            channels say little each, to a third, and ended no better than magnitude after fine-tuning where
            it was measured (a small CNN); per cost it ended ahead.
        finetune: share of the epochs spent between chunks, in [0, 1]; the rest comes at the end.
        learning_rate: of all fine-tuning; 0 takes the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached, or ``chunk`` or ``finetune`` is out of range.
        NetsmithError: an option that is unknown or out of range, or data whose samples are graphs.
    """
    from netsmith.recipes.opti_cut import OptiCut
    from netsmith.scores.information_gain import InformationGain

    settings = job.settings(
        method="fisher",
        samples=256,
        temperature=2.0,
        chunk=0.2,
        per_cost=False,
        finetune=0.5,
        learning_rate=0.0,
    )
    if not 0 <= settings["finetune"] <= 1:
        raise BudgetError(f"finetune={settings['finetune']} must be a share of the epochs, from 0 to 1")
    between = math.floor(job.epochs * settings["finetune"])
    rate = settings["learning_rate"] or None
    spent = 0

    def tune(model: nn.Module, number: int, chunks: int) -> None:
        nonlocal spent
        epochs = between * number // (chunks - 1) - spent
        if epochs:
            job.fit(model, epochs=epochs, learning_rate=rate, stage=f"chunk{number}")
            spent += epochs

    if job.task.kind in ("nodes", "graphs"):
        raise NetsmithError(
            f"hfp scores channels sample by sample, and data set {job.task.name!r} has graphs; "
            "take magnitude or deephoyer"
        )
    inputs, targets = calibration_batch(job, settings["samples"])
    cut = OptiCut(
        inputs=job.inputs,
        budget=job.budget,
        score=InformationGain(
            inputs,
            method=settings["method"],
            temperature=settings["temperature"],
            # The sum over all classes is for one target per sample.
            draws=None if targets.dim() == 1 else 1,
        ),
        tune=tune,
        chunk=settings["chunk"],
        per_cost=settings["per_cost"],
        round_to=job.round_to,
        log=job.log,
    )
    model = cut(job.model)
    job.notes["steps"] = cut.steps
    job.fit(model, epochs=job.epochs - spent, learning_rate=rate, stage="finetune")
    return model
