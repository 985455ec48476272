from __future__ import annotations

import resource
from pathlib import Path

import pytest

from netsmith.errors import FileError
from netsmith.files.atomic import atomic


def test_the_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with atomic(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_an_error_inside_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail() -> None:
        with atomic(target) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write() -> None:
        with atomic(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(bytes(1 << 16))

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, hard))
    try:
        with pytest.raises(FileError, match=r"cannot write .*a.bin: File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    for target, message in ((tmp_path / "no" / "a", "does not exist; create it"), (tmp_path, "is a folder")):
        with pytest.raises(FileError, match=message), atomic(target):
            pass
