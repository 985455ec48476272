"""``compare``: methods at equal budgets, from equal starting weights, with equal training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from netsmith.report import write_comparison
from netsmith.workflow.comparison import COMPARISON, PAGE, Comparison
from netsmith.workflow.folder import check, claim, write_json
from netsmith.workflow.grid import GROWING, Grid
from netsmith.workflow.work_through import work_through

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task
    from netsmith.workflow.workers import WorkersName


def compare(
    model: nn.Module | str,
    data: Task | str | tuple[Any, Any],
    *,
    methods: Sequence[str | Recipe],
    budgets: Sequence[Budget | str | Mapping[str, float | str]],
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    dense_epochs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    round_to: int | Literal["auto"] = 1,
    distill: bool = False,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
    inputs: Inputs | None = None,
    workers: WorkersName | None = None,
    storage: str | None = None,
) -> Comparison:
    """Compare methods at every budget over several seeds, with equal training for all.

    For one seed every method starts from the same dense weights and sees the data in the same order for the
    same number of epochs. Each trial is kept when it is finished, so an interrupted comparison goes on where
    it was, and a finished one can be extended by methods, budgets or seeds.

    Args:
        model: a network's name, ``file.py:callable``, or a trained ``nn.Module``.
        data: a data set's name, ``file.py:callable``, a task, or a (train, test) pair of data sets.
        methods: names, ``file.py:callable``, or recipes.
        budgets: as :func:`netsmith.compress` takes them.
        seeds: how many (0, 1, ...), or which.
        epochs: passes over the data each method may use.
        dense_epochs: passes before the method; as many as ``epochs`` for a network given by name.
        out: folder for trials, checkpoints, ``comparison.json`` and the comparison page; nothing is kept
            without one.
        resume: go on in ``out``.
        device: where to train.
        round_to: kept widths are multiples of this, or ``"auto"``.
        distill: whether the dense network teaches every method's.
        options: each method's own settings, by its name.
        progress: show it on standard error.
        inputs: example inputs, one held-out example if left out.
        workers: ``"ray"`` spreads the trials over the Ray cluster that ``RAY_ADDRESS`` names or that runs
            here, else over this machine's processors, a trial each; ``out`` must be a folder that all
            machines see. A trial whose worker is killed is done again where it was, three times at most.
        storage: URL of a database for the trials (``postgresql://user:password@host/database``). Several
            machines given the same comparison and URL, each with an ``out`` of its own, share the trials.

    Returns:
        Rows, and mean ± standard deviation over the seeds.

    Raises:
        NetsmithError: as for :func:`netsmith.compress`; a trial that fails is noted and the others go on.
        FileError: the storage was away for two minutes; what is finished is kept in ``out``.
    """
    grid = Grid(
        model,
        data,
        methods=methods,
        budgets=budgets,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        shared={
            "epochs": epochs,
            "dense_epochs": dense_epochs,
            "device": device,
            "round_to": round_to,
            "distill": distill,
            "inputs": inputs,
        },
        options=options or {},
    )
    if out is None:
        grid.check_reachable()
        with tempfile.TemporaryDirectory() as scratch:
            compared = work_through(grid, Path(scratch), progress=progress, workers=workers, storage=storage)
        compared.path = None
        return compared
    folder = Path(out)
    check(folder, grid.settings, resume=resume, free=GROWING)
    grid.check_reachable()
    with claim(folder, grid.settings, resume=resume, free=GROWING):
        compared = work_through(grid, folder, progress=progress, workers=workers, storage=storage)
        write_json(folder / COMPARISON, compared.to_json())
        write_comparison(compared.rows, folder / PAGE)
        return compared
