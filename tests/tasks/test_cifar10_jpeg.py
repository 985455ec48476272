from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import netsmith.tasks
from netsmith.errors import DataError
from netsmith.tasks import cifar10_jpeg
from netsmith.tasks.source import verify

PER_CLASS = {"train": 3, "test": 1}


def colour(split: str, label: int, number: int) -> tuple[int, int, int]:
    return (20 * label, 60 * number, 200 if split == "test" else 40)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of the real layout, with plain-coloured images, and its own checksum."""
    path = tmp_path / "data" / "cifar10-jpeg" / "cifar10-jpeg.tar.xz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:xz") as archive:
        for split, count in PER_CLASS.items():
            for label, name in enumerate(cifar10_jpeg._CLASSES):
                for number in range(count):
                    content = io.BytesIO()
                    Image.new("RGB", (32, 32), colour(split, label, number)).save(content, "JPEG", quality=95)
                    member = tarfile.TarInfo(f"{split}/{name}/{number:04}.jpg")
                    member.size = content.tell()
                    content.seek(0)
                    archive.addfile(member, content)
    monkeypatch.setattr(cifar10_jpeg, "_CHECKSUM", "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    return path


def test_decodes_with_labels_and_alternating_classes(archive: Path) -> None:
    arrays = cifar10_jpeg.decode(archive)
    for split, count in PER_CLASS.items():
        images, labels = arrays[f"{split}.images"], arrays[f"{split}.labels"]
        assert labels.tolist() == [*range(10)] * count
        expected = [colour(split, label, number) for number in range(count) for label in range(10)]
        assert images.shape == (10 * count, 3, 32, 32)
        np.testing.assert_allclose(images[:, :, 16, 16].numpy(), expected, atol=3)


def test_the_decoded_images_are_kept(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = netsmith.tasks.load("cifar10-jpeg")

    def decode_again(path: Path) -> None:
        raise AssertionError("decoded twice")

    monkeypatch.setattr(cifar10_jpeg, "decode", decode_again)
    second = netsmith.tasks.load("cifar10-jpeg")
    for one, other in zip(first.train.tensors, second.train.tensors, strict=True):
        assert torch.equal(one, other)
    assert first.name == "cifar10-jpeg"


def test_a_damaged_cache_is_made_anew(archive: Path, tmp_path: Path) -> None:
    first = netsmith.tasks.load("cifar10-jpeg")
    (cached,) = (tmp_path / "cache" / "netsmith" / "cifar10-jpeg").iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-100])
    second = netsmith.tasks.load("cifar10-jpeg")
    assert torch.equal(first.train.tensors[0], second.train.tensors[0])
    assert cached.read_bytes() == whole


def test_a_full_disk_is_one_line_and_leaves_no_part(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DataError, match="No space left on device") as error:
        netsmith.tasks.load("cifar10-jpeg")
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache" / "netsmith" / "cifar10-jpeg").iterdir()) == []


def test_without_pillow(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match="pip install pillow"):
        netsmith.tasks.load("cifar10-jpeg")


def test_tampered_archive(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(DataError, match=f"wrong checksum of {archive}"):
        netsmith.tasks.load("cifar10-jpeg")


def test_missing_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"'cifar10-jpeg' not found: looked in .*no public download"):
        netsmith.tasks.load("cifar10-jpeg")


def test_the_real_archive_has_the_stated_checksum(shared_data: Path) -> None:
    verify(shared_data / "cifar10-jpeg" / "cifar10-jpeg.tar.xz", cifar10_jpeg._CHECKSUM)
