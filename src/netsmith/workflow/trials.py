"""The cells of a comparison as Optuna trials: each is done once, whatever interrupts the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

STORAGE = "trials.db"


@dataclass(frozen=True)
class Cell:
    """One trial of a comparison."""

    method: str
    budget: str
    seed: int


CELL = ("method", "budget", "seed")


class Trials:
    """The trials of one comparison, kept in an SQLite file that Optuna's own tools can open.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        import optuna

        with _quiet():
            self._study: Study = optuna.create_study(
                study_name="compare",
                storage=f"sqlite:///{folder / STORAGE}",
                direction="maximize",
                load_if_exists=True,
            )

    def drop_unfinished(self) -> None:
        """Close the trials that a killed process left open; only for who holds the folder's lock."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.fail(trial.number, "the process was killed")

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that have no finished trial."""
        done = self._finished()
        return [cell for cell in cells if cell not in done]

    def rows(self) -> list[dict[str, Any]]:
        """Return what was kept of every finished cell, in the order they were started."""
        return [trial.user_attrs["row"] for trial in self._finished().values()]

    def start(self, cell: Cell) -> Trial:
        """Open a trial for a cell."""
        trial = self._study.ask()
        # Attributes, not parameters: Optuna fixes a parameter's choices for good, a comparison can grow.
        for name, value in asdict(cell).items():
            trial.set_user_attr(name, value)
        return trial

    def finish(self, trial: Trial, row: dict[str, Any]) -> None:
        """Keep the outcome of a trial; its value is the accuracy after."""
        trial.set_user_attr("row", row)
        with _quiet():
            self._study.tell(trial, row["after"]["accuracy"])

    def fail(self, trial: Trial | int, reason: str) -> None:
        """Close a trial (or its number) that came to nothing; its cell is missing still."""
        from optuna.trial import TrialState

        if not isinstance(trial, int):
            trial.set_user_attr("reason", reason)
        with _quiet():
            self._study.tell(trial, state=TrialState.FAIL)

    def _finished(self) -> dict[Cell, FrozenTrial]:
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return {Cell(**{name: trial.user_attrs[name] for name in CELL}): trial for trial in trials}


@contextmanager
def _quiet() -> Iterator[None]:
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
