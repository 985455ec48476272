"""Working through the cells of a comparison until each is finished or has failed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.errors import FileError, NetsmithError
from netsmith.workflow.comparison import Comparison
from netsmith.workflow.grid import GROWING, Grid
from netsmith.workflow.progress import printer
from netsmith.workflow.trials import Cell, Trials
from netsmith.workflow.workers import Outcome, Workers, WorkersName
from netsmith.workflow.workers import workers as held_workers

if TYPE_CHECKING:
    from optuna.trial import Trial

TRIES = 3
"""How often a cell whose worker is killed is tried."""


def work_through(
    grid: Grid,
    folder: Path,
    *,
    progress: bool,
    workers: WorkersName | None = None,
    storage: str | None = None,
) -> Comparison:
    """Do the trials that are missing, and return all that are finished; see :func:`netsmith.compare`.

    Raises:
        FileError: the folder cannot be written any more, or the storage stays away.
        NetsmithError: no trial at all could be finished.
    """
    name = "compare" if storage is None else _study_name(grid)
    with (
        held_workers(workers, grid, folder, progress=progress) as team,
        closing(Trials(folder, storage, study=name)) as trials,
    ):
        trials.drop_unfinished()
        failures = _Round(grid.cells, trials, team, printer(progress)).failures()
        rows = trials.rows()
    if not rows and failures:
        raise NetsmithError(f"no trial could be finished: {failures[0]['error']}")
    if not rows:
        raise NetsmithError(
            f"other machines are at work on all {len(grid.cells)} trials, none is finished; "
            "ask again with --resume"
        )
    return Comparison(rows=rows, failures=failures, path=folder)


class _Round:
    """One round over the cells: each is tried until it is finished, has failed, or is another machine's."""

    def __init__(self, cells: list[Cell], trials: Trials, team: Workers, say: Callable[[str], None]) -> None:
        self._open, self._trials, self._team, self._say = list(cells), trials, team, say
        self._running: dict[Cell, Trial] = {}
        self._killed = Counter[Cell]()
        self._failures: list[dict[str, Any]] = []

    def failures(self) -> list[dict[str, Any]]:
        """Do all that can be done, and return what failed."""
        self._begin()
        while self._running:
            cell, outcome = self._team.wait()
            trial = self._running.pop(cell)
            if outcome.row is not None:
                self._trials.finish(trial, outcome.row)
            else:
                self._trials.fail(trial, outcome.error)
                self._settle(cell, outcome)
            self._begin()
        return self._failures

    def _begin(self) -> None:
        while len(self._running) < self._team.slots:
            claimed = self._trials.claim([cell for cell in self._open if cell not in self._running])
            if claimed is None:
                return
            trial, cell = claimed
            number = len(self._open) - len(self._trials.missing(self._open)) + len(self._running) + 1
            self._say(f"trial {number} of {len(self._open)}: {_named(cell)}")
            self._running[cell] = trial
            self._team.start(cell)

    def _settle(self, cell: Cell, outcome: Outcome) -> None:
        if outcome.unwritable:
            raise FileError(outcome.error)
        self._killed[cell] += outcome.killed
        if outcome.killed and self._killed[cell] < TRIES:
            self._say(f"{_named(cell)}: {outcome.error}; it is tried again")
            return
        self._open.remove(cell)
        self._failures.append({**asdict(cell), "error": outcome.error})


def _named(cell: Cell) -> str:
    return f"{cell.method} at {cell.budget}, seed {cell.seed}"


def _study_name(grid: Grid) -> str:
    """Return a name that every machine gives this comparison, however it has grown."""
    fixed = {name: value for name, value in grid.settings.items() if name not in GROWING}
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True, default=str).encode()).hexdigest()
    return f"compare-{grid.settings['model']}-{grid.settings['data']}-{digest[:12]}"
