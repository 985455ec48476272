"""The folder of a run: whose run it is, one process at a time, and files that are whole or not there."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netsmith.errors import FileError, NetsmithError
from netsmith.files.atomic import atomic

IDENTITY = "run.json"
LOCK = ".lock"
CHECKPOINTS = "checkpoints"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, whole or not at all.

    Raises:
        FileError: the disk is full or the folder cannot be written.
    """
    with atomic(path) as partial:
        partial.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the plain data of a JSON file.

    Raises:
        FileError: the file is missing, truncated, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            f"cannot read {path}: {error}; is {path.parent} the folder of a netsmith run?"
        ) from error


def unwritable(path: Path, error: OSError) -> FileError:
    """Return the error to raise for a write to ``path`` that failed, full disks named as such."""
    if error.errno in FULL:
        reason = "the disk is full; free some space"
    else:
        reason = f"{error.strerror or error}; check the folder"
    return FileError(f"cannot write {path}: {reason} or choose another --out, then go on with --resume")


@contextmanager
def claim(
    path: Path, settings: Mapping[str, Any], *, resume: bool, free: Collection[str] = ()
) -> Iterator[Path]:
    """Hold ``path`` as the folder of the run that ``settings`` describe; one process at a time.

    A new folder that holds no finished work when an error ends the run is removed again.

    Args:
        path: the folder; made if it is not there.
        settings: plain data that identifies the run.
        resume: go on if the folder holds this run.
        free: settings in which the run may have changed since.

    Raises:
        FileError: the folder holds something else, another run, or this run without ``resume``; it is in
            use by another process; or it cannot be written.
    """
    check(path, settings, resume=resume, free=free)
    new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / LOCK).open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        _lock(lock.fileno(), path)
        try:
            write_json(path / IDENTITY, settings)
            yield path
        except OSError as error:
            if error.errno in FULL or Path(error.filename or "").is_relative_to(path):
                raise unwritable(Path(error.filename or path), error) from error
            raise
        except NetsmithError:
            if new and not _has_work(path):
                shutil.rmtree(path, ignore_errors=True)
            raise
        finally:
            (path / LOCK).unlink(missing_ok=True)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process at work in ``path``; wait while another one is."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / LOCK).open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        _lock(lock.fileno(), path, wait=True)
        yield


def check(path: Path, settings: Mapping[str, Any], *, resume: bool, free: Collection[str] = ()) -> None:
    """Raise :class:`FileError` if ``path`` cannot be the folder of this run; write nothing."""
    if path.exists() and not path.is_dir():
        raise FileError(f"{path} is a file; --out must be a folder")
    if not path.exists() or not _visible(path):
        if resume and not path.exists():
            raise FileError(f"there is no run in {path} to resume; leave --resume out to start one")
        return
    if not (path / IDENTITY).exists():
        raise FileError(f"{path} is not empty and holds no netsmith run; choose another --out")
    found = read_json(path / IDENTITY)
    differing = differences(found, settings, free)
    if differing and resume:
        raise FileError(f"{path} holds another run: {'; '.join(differing)}; choose another --out")
    if differing:
        raise FileError(f"{path} holds another run ({differing[0]}); choose another --out")
    if not resume:
        raise FileError(f"{path} already holds this run; continue it with --resume or choose another --out")


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """Return a line for each setting, but the ``free`` ones, in which two runs differ, with both values."""
    plain = json.loads(json.dumps(wanted))
    keys = sorted((set(found) | set(plain)) - set(free))
    return [
        f"{key} was {found.get(key)!r}, now {plain.get(key)!r}"
        for key in keys
        if found.get(key) != plain.get(key)
    ]


def _lock(descriptor: int, path: Path, *, wait: bool = False) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise FileError(
            f"another process is working in {path}; wait for it or choose another --out"
        ) from error


def _visible(path: Path) -> set[str]:
    # Names with a leading dot are the lock and what a killed process left of a file it was writing.
    return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}


def _has_work(path: Path) -> bool:
    return any(found.is_file() and found.name not in (IDENTITY, LOCK) for found in path.rglob("*"))
