"""Tickets: the networks that iterative pruning passes through, one file each, to go on from or to compare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from netsmith.errors import FileError
from netsmith.training.checkpoint import read_checkpoint, write_checkpoint

PATTERN = re.compile(r"iteration-(\d+)\.pt")


@dataclass(frozen=True)
class Ticket:
    """A network after one iteration of pruning and training."""

    iteration: int
    """From 1."""
    state: dict[str, Tensor]
    """Its ``state_dict``, with zeros where the masks say so."""
    masks: dict[str, Tensor]
    """By parameter name, True where an entry stays."""
    history: list[dict[str, Any]]
    """One entry per iteration up to this one."""
    settings: dict[str, Any]
    """What the run was asked for; plain data."""


def found_in(folder: Path) -> list[int]:
    """Return the iterations of which there is a ticket, in order."""
    if not folder.is_dir():
        return []
    matches = (PATTERN.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def to_resume(folder: Path | None, resume: bool | int, settings: dict[str, Any]) -> Ticket | None:
    """Return the ticket to go on from, or None to begin.

    Args:
        folder: of the run, if it has one.
        resume: whether to go on, after the last iteration there is; or after which.
        settings: what the run is asked for; a ticket of a run with others is refused.

    Raises:
        FileError: tickets are there and ``resume`` is False, there is no folder to resume from, or a ticket
            is missing, incomplete or of another run.
    """
    there = [] if folder is None else found_in(folder)
    if resume is False:
        if there:
            raise FileError(
                f"{folder} holds tickets of iterations 1 to {there[-1]} already; resume=True goes on with "
                "them, or give another folder"
            )
        return None
    if folder is None:
        raise FileError(
            "resume needs folder, where the tickets are: masks and iteration both come from there"
        )
    if resume is True and not there:
        return None
    ticket = read(folder, there[-1] if resume is True else resume)
    differing = sorted(name for name in settings if ticket.settings.get(name) != settings[name])
    if differing:
        raise FileError(
            f"the tickets in {folder} are of a run with other {', '.join(differing)}; resume with the same "
            "ones, or give another folder"
        )
    return ticket


def write(folder: Path, ticket: Ticket) -> None:
    """Write a ticket, whole or not at all: its masks, weights and number never part.

    Raises:
        FileError: the folder cannot be written, or the disk is full.
    """
    write_checkpoint(folder / f"iteration-{ticket.iteration}.pt", vars(ticket))


def read(folder: Path, iteration: int) -> Ticket:
    """Read the ticket of an iteration, onto the CPU.

    Raises:
        FileError: there is none, it cannot be read, or its masks or its number are missing.
    """
    path = folder / f"iteration-{iteration}.pt"
    if not path.is_file():
        known = ", ".join(map(str, found_in(folder))) or "none"
        raise FileError(f"there is no ticket of iteration {iteration} in {folder} (there: {known})")
    kept = read_checkpoint(path)
    missing = sorted(Ticket.__dataclass_fields__.keys() - kept.keys())
    if missing:
        raise FileError(
            f"the ticket {path} has no {', '.join(missing)}; going on needs masks and iteration both: "
            "delete it and resume from an earlier one"
        )
    return Ticket(**{name: kept[name] for name in Ticket.__dataclass_fields__})
