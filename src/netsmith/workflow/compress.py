"""``compress``: train, shape to a budget, measure, save."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from netsmith.errors import FileError
from netsmith.workflow.carry_out import check_reachable, run
from netsmith.workflow.folder import check, claim
from netsmith.workflow.plan import plan
from netsmith.workflow.result import MODEL, RESULT, Result

if TYPE_CHECKING:
    from netsmith.contracts import Inputs
    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task


def compress(
    model: nn.Module | str,
    data: Task | str | tuple[Any, Any],
    *,
    method: str | Recipe = "reconstruction",
    budget: Budget | str | Mapping[str, float | str],
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    round_to: int | Literal["auto"] = 1,
    distill: bool = False,
    dense_epochs: int | None = None,
    options: Mapping[str, Any] | None = None,
    progress: bool = True,
    inputs: Inputs | None = None,
) -> Result:
    """Train a network, shape it to a budget, measure it before and after, and save it with a report.

    Everything that can be known to go wrong is found before training starts and before anything is written.
    The result is a function of the arguments: a run that was interrupted and resumed ends in the same bits.

    Args:
        model: a network's name or ``file.py:callable``, then trained first; or a trained ``nn.Module``, which
            is left as it is.
        data: a data set's name, ``file.py:callable``, a task, or a (train, test) pair of data sets.
        method: a recipe's name, ``file.py:callable``, or a function from :class:`netsmith.recipes.Job` to the
            new network.
        budget: what the network may cost: ``Budget(macs=0.3)``, ``{"macs": 0.3}`` or
            ``"macs=0.3,latency=5ms"``.
        epochs: passes over the data the method may use; by the size of the data if left out.
        seed: where all randomness starts.
        out: folder for ``result.json``, ``model.nsm``, ``model.onnx``, ``report.html`` and checkpoints;
            nothing is kept without one.
        resume: go on with the unfinished run in ``out``; what is finished is not done again.
        device: where to train; the fastest there is if left out.
        round_to: kept widths are multiples of this, or ``"auto"`` for widths the machine likes.
        distill: whether the network as it was before the cut teaches the one that is shaped, beside the
            labels (:class:`netsmith.targets.Distillation`, its defaults).
        dense_epochs: passes over the data before the method; if left out, as many as ``epochs`` for a network
            given by name and none for an ``nn.Module``.
        options: the method's own settings.
        progress: show it on standard error.
        inputs: example inputs, one held-out example if left out.

    Raises:
        UnknownNameError: no model, data set, method, budget key or option of that name.
        BudgetError: a budget that cannot be reached; the message says what can.
        DataError: data that is missing or does not fit the model.
        FileError: ``out`` holds another run, or cannot be written.
        TrainingError: a loss or weight that is not finite; the checkpoints stay.
    """
    planned = plan(
        model,
        data,
        method=method,
        budget=budget,
        epochs=epochs,
        dense_epochs=dense_epochs,
        seed=seed,
        device=device,
        round_to=round_to,
        distill=distill,
        options=options,
        inputs=inputs,
    )
    if out is None:
        check_reachable(planned)
        with tempfile.TemporaryDirectory() as scratch:
            result = run(planned, Path(scratch), progress=progress)
        result.path = None
        return result
    folder = Path(out)
    check(folder, planned.settings, resume=resume)
    if (folder / RESULT).exists():
        return Result.from_folder(folder, _finished(folder / MODEL, planned.model))
    check_reachable(planned)
    with claim(folder, planned.settings, resume=resume):
        return run(planned, folder, resume=resume, progress=progress)


def _finished(path: Path, original: nn.Module) -> nn.Module:
    """Return the network of a finished run; what its file cannot hold comes from the original."""
    from netsmith.files import load

    try:
        return load(path, classes={type(module) for module in original.modules()})
    except FileError:
        return load(path, into=deepcopy(original))
