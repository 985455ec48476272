"""The errors a user can meet; each message names what was given, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NetsmithError(Exception):
    """Base of every error netsmith raises on purpose; the command prints it as one line and exits with 2."""


class TraceError(NetsmithError):
    """The model could not be run on the inputs, or its structure could not be followed."""


class EditError(NetsmithError):
    """An edit cannot be made, or did not pass its own verification; the model is as it was."""


class BudgetError(NetsmithError):
    """A budget that cannot be read, makes no sense, or cannot be reached."""


class FileError(NetsmithError):
    """A file that is truncated, tampered with, of another kind, or cannot be written."""


class DataError(NetsmithError):
    """A data set that is missing, incomplete or does not match its checksum."""


class TrainingError(NetsmithError):
    """Training had to stop: a loss or a weight that is not finite, or a batch that does not fit."""


class UnknownNameError(NetsmithError):
    """A name that is not in the list it should come from; the message carries the nearest ones."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {given!r}; {hint}")


class ScoreWarning(UserWarning):
    """A score that does not say which channels matter."""


class SpeedWarning(UserWarning):
    """A cut that saves operations but, as measured on this machine, not the time that goes with them."""
