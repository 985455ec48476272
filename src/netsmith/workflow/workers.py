"""Who carries the trials of a comparison out: this process, one after the other, or a Ray cluster."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from netsmith.errors import FileError, NetsmithError, UnknownNameError
from netsmith.optional import require
from netsmith.workflow.trials import Cell

if TYPE_CHECKING:
    from netsmith.workflow.grid import Grid

WorkersName = Literal["ray"]
NAMES = ("ray",)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a trial: a row, or why there is none."""

    row: dict[str, Any] | None = None
    error: str = ""
    killed: bool = False
    """Whether the process that worked on it was killed, so that another try can help."""
    unwritable: bool = False
    """Whether the folder cannot be written, so that no other trial can be done either."""


class Workers(Protocol):
    """Where trials are carried out."""

    slots: int
    """How many at a time."""

    def start(self, cell: Cell) -> None:
        """Take a cell on."""

    def wait(self) -> tuple[Cell, Outcome]:
        """Return one of the cells taken on, when it is done."""


@contextmanager
def workers(name: WorkersName | None, grid: Grid, folder: Path, *, progress: bool) -> Iterator[Workers]:
    """Hold the workers that ``name`` asks for: this process for None.

    Raises:
        UnknownNameError: no workers of that name.
        NetsmithError: they need a library that is not installed.
    """
    if name is None:
        yield InTurn(grid, folder, progress)
        return
    if name not in NAMES:
        raise UnknownNameError("kind of workers", str(name), NAMES)
    require("ray", extra="distributed", what="--workers ray")
    import ray

    own = not ray.is_initialized()
    if own:
        # A cluster that RAY_ADDRESS names, or that runs here, is joined; else one is started here.
        ray.init(include_dashboard=False, log_to_driver=progress, logging_level="ERROR")
    try:
        yield OnRay(grid, folder, progress)
    finally:
        if own:
            ray.shutdown()


def carry_out(grid: Grid, cell: Cell, folder: Path, progress: bool) -> Outcome:
    """Do one trial, or read what it came to if it was done before."""
    try:
        return Outcome(row=grid.row(cell, folder, progress))
    except NetsmithError as error:
        return Outcome(error=str(error), unwritable=isinstance(error, FileError))


class InTurn:
    """This process; a cell is worked on when it is waited for."""

    slots = 1

    def __init__(self, grid: Grid, folder: Path, progress: bool) -> None:
        self._work = grid, folder, progress
        self._cells: list[Cell] = []

    def start(self, cell: Cell) -> None:
        """Take a cell on."""
        self._cells.append(cell)

    def wait(self) -> tuple[Cell, Outcome]:
        """Do the cell taken on first, and return it."""
        cell, (grid, folder, progress) = self._cells.pop(0), self._work
        return cell, carry_out(grid, cell, folder, progress)


class OnRay:
    """A Ray cluster with one processor, and where it has any one GPU, for each trial.

    The folder must be one that all machines of the cluster see.
    """

    def __init__(self, grid: Grid, folder: Path, progress: bool) -> None:
        import ray
        from ray import cloudpickle

        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if grid.shared["device"] != "cpu" else 0
        self.slots = max(1, min(int(there.get("CPU", 1)), gpus) if gpus else int(there.get("CPU", 1)))
        self._grid = ray.put(cloudpickle.dumps(grid))
        self._task = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_retries=0)(_on_worker)
        self._place = os.getcwd(), folder.resolve(), progress
        self._at_work: dict[Any, Cell] = {}

    def start(self, cell: Cell) -> None:
        """Take a cell on."""
        self._at_work[self._task.remote(self._grid, cell, *self._place)] = cell

    def wait(self) -> tuple[Cell, Outcome]:
        """Return a cell that is done, or whose worker was killed."""
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError

        (done, *_), _ = ray.wait(list(self._at_work), num_returns=1)
        cell = self._at_work.pop(done)
        try:
            return cell, ray.get(done)
        except (NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError) as error:
            reason = str(error).strip().partition("\n")[0]
            return cell, Outcome(error=f"the worker was killed ({reason})", killed=True)


def _on_worker(pickled: bytes, cell: Cell, place: str, folder: Path, progress: bool) -> Outcome:
    # Files of the user's are named from where the command was given.
    with chdir(place):
        return carry_out(pickle.loads(pickled), cell, folder, progress)
