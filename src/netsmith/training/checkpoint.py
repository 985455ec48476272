"""Checkpoints: one file, replaced whole or not at all, read without running code from it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from netsmith.errors import FileError, TrainingError
from netsmith.files.atomic import atomic
from netsmith.training.progress import Record

if TYPE_CHECKING:
    from netsmith.training.run import Run

NAME = "checkpoint.pt"


class Checkpoints:
    """The checkpoint of one run: written by the first process, read by all.

    Args:
        folder: where it is, or None to keep none.
        resume: go on from what is there.
        settings: plain data; a checkpoint with others is of another run.

    Raises:
        FileError: there is a checkpoint and ``resume`` is False.
        TrainingError: ``resume`` without a folder.
    """

    def __init__(self, folder: str | Path | None, resume: bool, settings: dict[str, Any]) -> None:
        self.path = None if folder is None else Path(folder) / NAME
        self._settings = settings
        self._found = self.path is not None and self.path.exists()
        if resume and self.path is None:
            raise TrainingError("resume=True needs out, the folder that holds the checkpoint")
        if self._found and not resume:
            raise FileError(f"{self.path} is there already; resume=True goes on with it, or give another out")

    def start(self, run: Run) -> list[Record]:
        """Load what is there and return its history; else save the start, which shows that saving works.

        Raises:
            FileError: the checkpoint cannot be read or written, or is of another model or other settings.
        """
        # No process may write before all have looked.
        run.accelerator.wait_for_everyone()
        if self.path is None or not self._found:
            self.save(run, [])
            return []
        state = read_checkpoint(self.path)
        self._require_same("settings", state["settings"], self._settings)
        self._require_same("tensors", _shapes(state["model"]), _shapes(run.model.state_dict()))
        try:
            run.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise FileError(f"the checkpoint {self.path} does not fit this run: {reason}") from error
        history: list[Record] = state["history"]
        return history

    def save(self, run: Run, history: list[Record]) -> None:
        """Write the state of a run, whole or not at all.

        Raises:
            FileError: the folder cannot be written, or the disk is full.
        """
        if self.path is not None and run.accelerator.is_main_process:
            state = {**run.state_dict(), "settings": self._settings, "history": history}
            write_checkpoint(self.path, state)
        run.accelerator.wait_for_everyone()

    def _require_same(self, what: str, found: dict[str, Any], given: dict[str, Any]) -> None:
        for name in sorted(found.keys() | given.keys()):
            before, now = found.get(name, "absent"), given.get(name, "absent")
            if before != now:
                raise FileError(
                    f"the checkpoint {self.path} was made with other {what}: {name} was {before} and is "
                    f"now {now}; resume with the same ones, or give another out"
                )


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...] | None]:
    return {name: tuple(value.shape) if torch.is_tensor(value) else None for name, value in state.items()}


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write plain data and tensors to ``path``; whatever was there stays whole until the new file is.

    Raises:
        FileError: the folder cannot be made or written, or the disk is full.
        TrainingError: the state holds something else than tensors and plain data.
    """
    require_plain(state)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"cannot make the folder {path.parent}: {error.strerror}; give another out"
        ) from error
    with atomic(path) as partial:
        try:
            with partial.open("wb") as file:
                torch.save(dict(state), file)
        except RuntimeError as error:
            # torch's writer replaces the operating system's error by its own, which says nothing to a user.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote, onto the CPU.

    Raises:
        FileError: the file cannot be read, is cut short, or is no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise FileError(f"cannot read the checkpoint {path}: {reason}; delete it to start over") from error
    if not isinstance(state, dict) or "settings" not in state:
        raise FileError(f"{path} is not a checkpoint of netsmith.train.fit; give another out")
    return state


def require_plain(value: object, where: str = "checkpoint") -> None:
    """Refuse a state that ``torch.load(weights_only=True)`` could not give back.

    Raises:
        TrainingError: names the place and the type.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            require_plain(item, f"{where}[{position}]")
    elif not (value is None or type(value) in (bool, int, float, complex, str) or torch.is_tensor(value)):
        raise TrainingError(
            f"{where} holds a {type(value).__name__}, which a checkpoint cannot carry without running code "
            "when it is read; keep tensors, numbers, strings, lists and dicts in state_dict()"
        )
