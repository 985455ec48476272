"""The cells of a comparison as Optuna trials: each is done once, whatever interrupts the run."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.workflow.storage import PATIENCE, Storage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

FILE = "trials.db"
ANNOUNCING, MOMENT = 40, 0.05
"""How often, and after how many seconds, to look again whether another process was first."""


@dataclass(frozen=True)
class Cell:
    """One trial of a comparison."""

    method: str
    budget: str
    seed: int


CELL = ("method", "budget", "seed")


class Trials:
    """The trials of one comparison, kept where Optuna's own tools can open them.

    Args:
        folder: of this run; trials are kept in an SQLite file there, if not elsewhere.
        storage: URL of a database instead, which several machines, each with its own folder, can share.
        study: name of the comparison in the database.
        patience: seconds to wait for a database that went away.

    Raises:
        FileError: from every method, when the database does not answer.
    """

    def __init__(
        self, folder: Path, storage: str | None = None, *, study: str = "compare", patience: float = PATIENCE
    ) -> None:
        self._owner = f"{socket.gethostname()}:{folder.resolve()}"
        self._shared = storage is not None
        url = f"sqlite:///{folder / FILE}" if storage is None else storage
        self._storage = Storage(url, study, shared=self._shared, patience=patience if self._shared else 0.0)
        self._study = self._storage.study

    def drop_unfinished(self) -> None:
        """Close the trials that a killed process left open; only for who holds the folder's lock."""
        for trial in self._running():
            if not self._shared or trial.user_attrs.get("owner") == self._owner:
                self.fail(trial.number, "the process was killed")

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that have no finished trial."""
        done = self._finished()
        return [cell for cell in cells if cell not in done]

    def rows(self) -> list[dict[str, Any]]:
        """Return what was kept of every finished cell, in the order they were started."""
        return [trial.user_attrs["row"] for trial in self._finished().values()]

    def claim(self, cells: Sequence[Cell]) -> tuple[Trial, Cell] | None:
        """Open a trial for the first cell that is neither finished nor at work anywhere; None if none is."""
        from optuna.storages import fail_stale_trials

        while True:
            if self._shared:
                self._storage.ask(lambda: fail_stale_trials(self._study))
            taken = {cell for trial in self._running() if (cell := _cell_of(trial)) is not None}
            left = [cell for cell in self.missing(cells) if cell not in taken]
            if not left:
                return None
            trial = self.start(left[0])
            if self._is_first(trial, left[0]):
                return trial, left[0]
            self.fail(trial, "another process was first")

    def start(self, cell: Cell) -> Trial:
        """Open a trial for a cell."""
        trial = self._storage.ask(self._study.ask)
        self._storage.alive(trial._trial_id)
        # Attributes, not parameters: Optuna fixes a parameter's choices for good, a comparison can grow.
        for name, value in {"owner": self._owner, **asdict(cell)}.items():
            self._storage.ask(partial(trial.set_user_attr, name, value))
        return trial

    def finish(self, trial: Trial, row: dict[str, Any]) -> None:
        """Keep the outcome of a trial; its value is the accuracy after."""
        from optuna.exceptions import UpdateFinishedTrialError

        def tell() -> None:
            trial.set_user_attr("row", row)
            self._study.tell(trial, row["after"]["accuracy"])

        try:
            self._storage.ask(tell)
        except UpdateFinishedTrialError:
            # Another machine took it for dead and closed it; what was measured counts all the same, once.
            cell = _cell_of(trial)
            if cell is not None and cell not in self._finished():
                self.finish(self.start(cell), row)
        self._storage.ended(trial._trial_id)

    def fail(self, trial: Trial | int, reason: str) -> None:
        """Close a trial (or its number) that came to nothing; its cell is missing still."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        def tell() -> None:
            if not isinstance(trial, int):
                trial.set_user_attr("reason", reason)
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

        with suppress(UpdateFinishedTrialError):
            self._storage.ask(tell)
        if not isinstance(trial, int):
            self._storage.ended(trial._trial_id)

    def close(self) -> None:
        """End the signs of life; trials that are open are another process's to take over."""
        self._storage.close()

    def _is_first(self, trial: Trial, cell: Cell) -> bool:
        """Tell whether no trial of the same cell is finished, or was opened before by another process."""
        for _ in range(ANNOUNCING):
            earlier = [other for other in self._running() if other.number < trial.number]
            # In this order: a trial that ends in between is seen as finished.
            if any(_cell_of(other) == cell for other in earlier) or cell in self._finished():
                return False
            if all(_cell_of(other) is not None for other in earlier):
                return True
            # A trial just opened says a moment later of which cell it is.
            time.sleep(MOMENT)
        return True

    def _running(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return self._storage.ask(lambda: self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _finished(self) -> dict[Cell, FrozenTrial]:
        from optuna.trial import TrialState

        trials = self._storage.ask(
            lambda: self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        )
        found: dict[Cell, FrozenTrial] = {}
        for trial in trials:
            if (cell := _cell_of(trial)) is not None:
                found.setdefault(cell, trial)
        return found


def _cell_of(trial: FrozenTrial | Trial) -> Cell | None:
    """Return the cell a trial is of; None as long as it has not said so."""
    attributes = trial.user_attrs
    return Cell(*(attributes[name] for name in CELL)) if set(CELL) <= set(attributes) else None
