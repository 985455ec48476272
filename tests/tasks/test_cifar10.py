from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import netsmith.tasks
from netsmith.errors import DataError
from netsmith.tasks import cifar10
from netsmith.tasks.source import Remote


def make_archive(path: Path, per_batch: int, batches: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Write an archive of the published layout; return its images [n, height, width, 3] and labels."""
    generator = np.random.default_rng(0)
    count = per_batch * 6
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    names = [*(f"data_batch_{number + 1}.bin" for number in range(batches)), "test_batch.bin"]
    with tarfile.open(path, "w:gz") as archive:
        for position, name in enumerate(names):
            part = range(position * per_batch, (position + 1) * per_batch)
            content = b"".join(bytes([labels[i]]) + images[i].transpose(2, 0, 1).tobytes() for i in part)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return images, labels


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    return path


def trust(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = "md5:" + hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "_ARCHIVE", Remote(cifar10._ARCHIVE.url, checksum))


def test_images_come_out_as_they_were_put_in(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = make_archive(archive, per_batch=20)
    trust(archive, monkeypatch)
    task = netsmith.tasks.load("cifar10")
    pixels = torch.cat([task.train.tensors[0], task.test.tensors[0]])
    mean, std = np.array(cifar10.MEAN), np.array(cifar10.STD)
    expected = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-5)
    targets = torch.cat([task.train.tensors[1], task.test.tensors[1]])
    assert targets.tolist() == labels.tolist()
    assert (len(task.train), len(task.test), task.input_shape) == (100, 20, (3, 32, 32))


def test_options(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(archive, per_batch=20)
    trust(archive, monkeypatch)
    task = netsmith.tasks.load("cifar10", train_size=30, test_size=10, augment=False)
    assert task.train.tensors[1].bincount().tolist() == [3] * 10
    assert task.augment is None
    augment = netsmith.tasks.load("cifar10").augment
    assert augment is not None
    assert augment(task.train.tensors[0], torch.Generator()).shape == (30, 3, 32, 32)


def test_any_other_archive_is_refused(archive: Path) -> None:
    make_archive(archive, per_batch=1)
    found = hashlib.md5(archive.read_bytes()).hexdigest()
    with pytest.raises(DataError, match=f"expected md5 c32a1d4ab5d03f1284b67883e8d87530, got {found}"):
        netsmith.tasks.load("cifar10")
