from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import pytest
import torch

from netsmith.errors import DataError
from netsmith.tasks.idx import read_idx

VALUES = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
CONTENT = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.mark.parametrize("level", [None, 1, 9])
def test_reads_plain_and_gzipped_at_any_level(tmp_path: Path, level: int | None) -> None:
    path = tmp_path / ("values" if level is None else "values.gz")
    path.write_bytes(CONTENT if level is None else gzip.compress(CONTENT, level))
    assert torch.equal(read_idx(path, md5(CONTENT)), VALUES)


def test_wrong_checksum_names_file_expected_and_got(tmp_path: Path) -> None:
    path = tmp_path / "values.gz"
    changed = CONTENT[:-1] + b"\xff"
    path.write_bytes(gzip.compress(changed))
    with pytest.raises(DataError) as caught:
        read_idx(path, md5(CONTENT))
    message = str(caught.value)
    assert all(part in message for part in (str(path), md5(CONTENT), md5(changed)))
    assert "\n" not in message


@pytest.mark.parametrize("cut", [slice(0, -12), slice(0, 5), slice(1, None)])
def test_damaged_gzip(tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "values.gz"
    path.write_bytes(gzip.compress(CONTENT)[cut])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(path, md5(CONTENT))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (bytes((0, 0, 13, 1)) + struct.pack(">I", 1) + bytes(4), "first bytes are '00 00 0d 01'"),
        (CONTENT[:10], "not an IDX file"),
        (CONTENT[:-1], r"says shape \[2, 3, 4\] but holds 23 values"),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "values"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path, md5(content))
