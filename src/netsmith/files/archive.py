"""The container of a ``.nsm`` file: one zip whose manifest carries the size and SHA-256 of every member."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from netsmith.errors import FileError
from netsmith.files.atomic import atomic
from netsmith.files.messages import first_line, one_line

FORMAT = "netsmith model"
VERSION = 1
MANIFEST = "manifest.json"
LARGEST_JSON = 256 << 20
"""Bytes of JSON a member may hold; a deflated member that claims more is not read."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    OSError,
    MemoryError,
)
"""Everything zipfile is known to raise on damaged bytes."""


def write_archive(path: str | os.PathLike[str], members: Mapping[str, bytes]) -> None:
    """Write ``members`` (name to content) and their manifest to ``path``, whole or not at all.

    The same members give the same bytes. JSON is deflated, everything else is stored as it is.

    Raises:
        FileError: the file cannot be written.
    """
    listed = {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in members.items()}
    manifest = {"format": FORMAT, "version": VERSION, "torch": torch.__version__, "members": listed}
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in {MANIFEST: json.dumps(manifest).encode(), **members}.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(info, data)


def read_archive(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the members of a file of :func:`write_archive`, every one checked against the manifest.

    Raises:
        FileError: the file is missing, of another kind or version, truncated, or a member is not what the
            manifest says.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileError(
            f"cannot read {path}: {error.strerror or error}; give the path of a .nsm file"
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: _read(path, archive, info, len(content)) for info in archive.infolist()}
            if len(members) != len(archive.infolist()):
                raise FileError(f"{path} holds a member twice; it was tampered with, save the model again")
    except _BROKEN as error:
        raise FileError(
            f"{path} is truncated, damaged or not a .nsm file ({first_line(error)}); save the model again"
        ) from error
    _check(path, members, read_json(path, MANIFEST, members))
    del members[MANIFEST]
    return members


def read_json(path: str | os.PathLike[str], name: str, members: Mapping[str, bytes]) -> Any:
    """Return a JSON member as plain data.

    Raises:
        FileError: the member is missing or is not JSON.
    """
    if name not in members:
        raise FileError(
            f"{path} has no {name}; it is not a .nsm file or was tampered with, save the model again"
        )
    try:
        return json.loads(members[name])
    except (ValueError, RecursionError) as error:
        raise FileError(
            f"{name} in {path} is not JSON ({first_line(error)}); save the model again"
        ) from error


def _read(path: str | os.PathLike[str], archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    # A stored member cannot be larger than the file; only JSON may unpack to more, and only to a bound.
    name = one_line(info.filename)
    if info.filename.endswith(".json"):
        limit = LARGEST_JSON
    elif info.compress_type != zipfile.ZIP_STORED:
        raise FileError(f"{name} in {path} is compressed, expected stored; save the model again")
    if info.file_size > limit:
        raise FileError(f"{name} in {path} claims {info.file_size} bytes, at most {limit} are allowed")
    with archive.open(info) as member:
        return member.read(limit + 1)


def _check(path: str | os.PathLike[str], members: Mapping[str, bytes], manifest: Any) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileError(f"{path} is not a netsmith model; give a file written by netsmith.save")
    if manifest.get("version") != VERSION:
        raise FileError(
            f"{path} has format version {manifest.get('version')!r}, expected {VERSION}; update netsmith"
        )
    listed = manifest.get("members")
    if not isinstance(listed, dict) or set(listed) != set(members) - {MANIFEST}:
        raise FileError(f"the members of {path} are not those its manifest lists; save the model again")
    for name, expected in listed.items():
        found = {"bytes": len(members[name]), "sha256": _sha256(members[name])}
        if found != expected:
            raise FileError(f"{one_line(name)} in {path} does not match its checksum; save the model again")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
