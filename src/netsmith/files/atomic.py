"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netsmith.errors import FileError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the name of ``path`` only when all went well.

    Whatever goes wrong inside (an error, a full disk, an interrupt), the temporary file is removed and a file
    that stood at ``path`` before is untouched.

    Raises:
        FileError: the folder is missing, ``path`` is a folder, or the disk refuses (full, read-only, …).
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileError(f"cannot write {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise FileError(f"cannot write {path}: it is a folder; give the name of a file")
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or error
        raise FileError(
            f"cannot write {path}: {reason}; nothing was written, free space or choose another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
