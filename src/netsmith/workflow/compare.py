"""``compare``: methods at equal budgets, from equal starting weights, with equal training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from netsmith.report import write_comparison
from netsmith.workflow.comparison import PAGE, Comparison
from netsmith.workflow.folder import check, claim
from netsmith.workflow.grid import GROWING, Grid

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task


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
    options: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool = True,
    inputs: Inputs | None = None,
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
        out: folder for trials, checkpoints and the comparison page; nothing is kept without one.
        resume: go on in ``out``.
        device: where to train.
        round_to: kept widths are multiples of this, or ``"auto"``.
        options: each method's own settings, by its name.
        progress: show it on standard error.
        inputs: example inputs, one held-out example if left out.

    Returns:
        Rows, and mean ± standard deviation over the seeds.

    Raises:
        NetsmithError: as for :func:`netsmith.compress`; a trial that fails is noted and the others go on.
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
            "inputs": inputs,
        },
        options=options or {},
    )
    if out is None:
        grid.check_reachable()
        with tempfile.TemporaryDirectory() as scratch:
            compared = grid.run(Path(scratch), progress=progress)
        compared.path = None
        return compared
    folder = Path(out)
    check(folder, grid.settings, resume=resume, free=GROWING)
    grid.check_reachable()
    with claim(folder, grid.settings, resume=resume, free=GROWING):
        compared = grid.run(folder, progress=progress)
        write_comparison(compared.rows, folder / PAGE)
        return compared
