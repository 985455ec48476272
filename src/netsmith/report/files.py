"""Writing a page: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netsmith.errors import FileError
from netsmith.report.comparison import render_comparison
from netsmith.report.page import render


def write(result: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the report of one compression and return its path.

    Arguments:
        result: as for :func:`render`.
        path: the file; one that exists is replaced.

    Raises:
        FileError: the file cannot be written (no folder, permission or space); an old one stays as it was.
    """
    return _save(render(result), Path(path))


def write_comparison(
    rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], *, name: str = ""
) -> Path:
    """Write the page of a comparison and return its path; see :func:`write` and :func:`render_comparison`."""
    return _save(render_comparison(rows, name=name), Path(path))


def _save(page: str, path: Path) -> Path:
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        half.write_text(page, encoding="utf-8", newline="\n")
        os.replace(half, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        reason = error.strerror or error
        raise FileError(
            f"cannot write the report to {str(path)!r}: {reason}; choose a folder you can write to"
        ) from error
    return path
