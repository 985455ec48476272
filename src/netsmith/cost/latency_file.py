"""Latency tables as files: JSON or CSV, plain data, never half-written."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from netsmith.errors import FileError

Entries = dict[tuple[str, int, int], float]
"""Seconds by (site, channels in, channels out)."""

FORMAT = "netsmith latency table 1"
COLUMNS = ("operation", "in", "out", "seconds")
NETWORK = "whole network"


class Saved(NamedTuple):
    """What a file of a table holds."""

    hardware: dict[str, Any]
    entries: Entries
    networks: dict[str, float]


def cache_folder() -> Path:
    """Return ``NETSMITH_CACHE``, or the platform's cache folder for netsmith."""
    given = os.environ.get("NETSMITH_CACHE")
    if given:
        return Path(given)
    import pooch

    return Path(pooch.os_cache("netsmith"))


def check_seconds(seconds: float, what: str) -> float:
    """Return a time that is positive and finite.

    Raises:
        FileError: it is not.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise FileError(f"the time of {what} is {seconds} s; expected a positive number, measure it again")
    return seconds


def same_hardware(saved: Mapping[str, Any], here: Mapping[str, Any], path: str | Path) -> None:
    """Refuse a table of other hardware, naming every difference.

    Raises:
        FileError: any property differs.
    """
    differing = [name for name in sorted({*saved, *here}) if saved.get(name) != here.get(name)]
    if differing:
        parts = ", ".join(
            f"{name} {saved.get(name)!r} there and {here.get(name)!r} here" for name in differing
        )
        raise FileError(
            f"{path} was measured on other hardware ({parts}); measure anew, or load it with elsewhere=True"
        )


def write(path: Path, hardware: dict[str, Any], entries: Entries, networks: Mapping[str, float]) -> None:
    """Write a table as ``.json`` or ``.csv``, whole or not at all.

    Raises:
        FileError: another ending, or the disk refuses.
    """
    rows = [(*key, seconds) for key, seconds in sorted(entries.items())]
    if path.suffix == ".json":
        operations = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        content = {
            "format": FORMAT,
            "hardware": hardware,
            "entries": operations,
            "networks": dict(networks),
        }
        text = json.dumps(content, indent=1) + "\n"
    elif path.suffix == ".csv":
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\n")
        writer.writerow([FORMAT, json.dumps(hardware), "", ""])
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        writer.writerows((f"{NETWORK} {name}", 0, 0, seconds) for name, seconds in sorted(networks.items()))
        text = sheet.getvalue()
    else:
        raise FileError(
            f"a latency table is written as .json or .csv, not {path.suffix or 'without an ending'!r}"
        )
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error.strerror}") from error


def read(path: Path) -> Saved:
    """Read a table from a ``.json`` or ``.csv`` file.

    Raises:
        FileError: it is missing, is no table, or holds a time that is not positive.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as a latency table: {error}") from error
    try:
        hardware, rows, networks = _csv(text) if path.suffix == ".csv" else _json(text)
        entries = {(str(name), int(c_in), int(c_out)): float(seconds) for name, c_in, c_out, seconds in rows}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FileError(f"{path} is not a latency table ({error}); delete it or measure again") from error
    for key, seconds in entries.items():
        check_seconds(seconds, f"{key[0]} with {key[1]} channels in and {key[2]} out in {path}")
    return Saved(hardware, entries, networks)


def _json(text: str) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
    rows = [[entry[column] for column in COLUMNS] for entry in content["entries"]]
    return dict(content["hardware"]), rows, {str(k): float(v) for k, v in content["networks"].items()}


def _csv(text: str) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    first, columns, *rows = csv.reader(io.StringIO(text))
    if first[0] != FORMAT or tuple(columns) != COLUMNS:
        raise ValueError(f"it starts with {first[0]!r}, expected {FORMAT!r}")
    networks = {
        row[0].removeprefix(NETWORK + " "): float(row[3]) for row in rows if row[0].startswith(NETWORK)
    }
    return json.loads(first[1]), [row for row in rows if not row[0].startswith(NETWORK)], networks
