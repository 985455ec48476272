from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from netsmith.errors import FileError
from netsmith.files import archive
from netsmith.files.archive import read_archive, write_archive

MEMBERS = {"weights.bin": bytes(range(256)), "tree.json": b'{"a": 1}'}


def rewrite(path: Path, change: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Replace members and leave the manifest alone."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, data in (members | change).items():
            new.writestr(name, data)


def test_round_trip_and_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(tmp_path / name, MEMBERS)
    assert read_archive(tmp_path / "a") == MEMBERS
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_archive(path, MEMBERS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"truncated, damaged or not a .nsm file"):
            read_archive(path)


def test_a_changed_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_archive(path, MEMBERS)
    rewrite(path, {"weights.bin": bytes(256)})
    with pytest.raises(FileError, match=r"weights.bin in .* does not match its checksum"):
        read_archive(path)


def test_a_further_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_archive(path, MEMBERS)
    rewrite(path, {"more.bin": b""})
    with pytest.raises(FileError, match=r"not those its manifest lists"):
        read_archive(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_archive(path, {"weights.bin": bytes(1 << 20), "tree.json": b" " * (1 << 20)})
    monkeypatch.setattr(archive, "LARGEST_JSON", 1 << 16)
    with pytest.raises(FileError, match=r"tree.json in .* claims 1048576 bytes, at most 65536"):
        read_archive(path)
    rewrite(path, {"tree.json": b" "}, zipfile.ZIP_DEFLATED)
    with pytest.raises(FileError, match=r"weights.bin in .* is compressed, expected stored"):
        read_archive(path)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"[]", "not a netsmith model"),
        (b"{", "manifest.json in .* is not JSON"),
        (b"[" * 100_000, "manifest.json in .* is not JSON"),
        (json.dumps({"format": "netsmith model", "version": 2}).encode(), "format version 2, expected 1"),
        (json.dumps({"format": "netsmith model", "version": 1, "members": 3}).encode(), "manifest lists"),
    ],
)
def test_a_strange_manifest_is_refused(tmp_path: Path, manifest: bytes, message: str) -> None:
    path = tmp_path / "a"
    write_archive(path, MEMBERS)
    rewrite(path, {"manifest.json": manifest})
    with pytest.raises(FileError, match=message):
        read_archive(path)


def test_other_files_and_no_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a.txt", "a")
    with pytest.raises(FileError, match=r"has no manifest.json"):
        read_archive(tmp_path / "other.zip")
    with pytest.raises(FileError, match=r"cannot read .*: No such file"):
        read_archive(tmp_path / "none.nsm")


def test_a_name_from_the_file_cannot_break_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as forged:
        forged.writestr("two\nlines\x1b[31m", b"a")
    with pytest.raises(FileError, match=r"^two lines \[31m in .* is compressed[^\n]*$"):
        read_archive(path)
