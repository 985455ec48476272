"""Where a data set's files come from: a local copy if there is one, else its public home."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netsmith.errors import DataError


@dataclass(frozen=True)
class Remote:
    """A file at its public home.

    Args:
        url: address of the file.
        checksum: of the file as served there, ``"md5:…"`` or ``"sha256:…"``.
    """

    url: str
    checksum: str


def cache_folder(task: str) -> Path:
    """Return the folder in the user's cache that holds what was downloaded or derived for a task."""
    import pooch

    return Path(pooch.os_cache("netsmith")) / task


def locate(
    task: str,
    names: Sequence[str],
    *,
    remote: Remote | None = None,
    folders: Sequence[str] = (),
    hint: str = "",
) -> Path:
    """Return the path of one file of a data set; downloads it only if no folder is there to hold it.

    Looked at in this order: ``$NETSMITH_DATA/<task>``, ``folders``, the cache, ``remote``. The first folder
    that exists is the data set: a file missing in it is an error and not a reason to mix two copies.

    Args:
        task: name of the task, also the name of its folder.
        names: file names that will do; the first is the name in the cache.
        remote: where to download from, or None if the set has no public home.
        folders: further places where a package may have put the set.
        hint: a further way to get the data, for the error message.

    Raises:
        DataError: NETSMITH_DATA is not a directory, the file is nowhere, the download failed or does not
            match its checksum.
    """
    candidates = [*_local_copy(task), *(Path(folder) for folder in folders)]
    for folder in candidates:
        if folder.is_dir():
            return _inside(folder, names)
    looked = ", ".join(map(str, candidates)) or "NETSMITH_DATA (not set)"
    help_text = f"put the files in a folder named {task!r} and point NETSMITH_DATA at its parent{hint}"
    if remote is None:
        raise DataError(f"data set {task!r} not found: looked in {looked}; {help_text}")
    return _download(task, names[0], remote, f"looked in {looked}", help_text)


def verify(path: Path, checksum: str) -> None:
    """Check a file against ``"md5:…"`` or ``"sha256:…"``.

    Raises:
        DataError: names the file, the expected and the found checksum.
    """
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise DataError(
            f"wrong checksum of {path}: expected {algorithm} {expected}, got {found}; "
            "replace it with an unchanged copy"
        )


def _local_copy(task: str) -> list[Path]:
    root = os.environ.get("NETSMITH_DATA")
    if not root:
        return []
    if not Path(root).is_dir():
        raise DataError(
            f"NETSMITH_DATA is {root!r}, which is not a directory; point it at a folder with one folder per "
            f"data set (here {str(Path(root) / task)!r}), or unset it"
        )
    return [Path(root) / task]


def _inside(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{folder} has no file {' or '.join(map(repr, names))}; complete the folder or move it away"
    )


def _download(task: str, name: str, remote: Remote, looked: str, help_text: str) -> Path:
    import pooch

    try:
        return Path(pooch.retrieve(remote.url, remote.checksum, fname=name, path=cache_folder(task)))
    except ValueError as error:
        raise DataError(f"wrong checksum of a download for {task!r}: {error}".replace("\n", " ")) from error
    except OSError as error:
        raise DataError(
            f"data set {task!r} not found: {looked}, and downloading {remote.url} failed ({_reason(error)}); "
            f"{help_text}, or try again when the network is reachable"
        ) from error


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        # The downloader leaves the connection of a refused request open.
        response.close()
        return f"HTTP status {response.status_code}"
    return error.strerror or type(error).__name__
