from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netsmith.tasks
from netsmith.errors import DataError
from netsmith.tasks import fashion_mnist


@pytest.fixture(autouse=True)
def debian(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NETSMITH_DATA", raising=False)
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.fail("Fashion-MNIST is missing: install the Debian package dataset-fashion-mnist")
    return folder


def test_the_whole_set() -> None:
    task = netsmith.tasks.load("fashion-mnist")
    images, targets = task.train.tensors
    assert images.shape == (60_000, 1, 28, 28)
    assert targets.bincount().tolist() == [6000] * 10
    assert task.test.tensors[1].bincount().tolist() == [1000] * 10
    assert targets[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert abs(float(images.mean())) < 1e-3
    assert abs(float(images.std()) - 1) < 1e-3
    assert task.augment is None


def test_own_copy_comes_first(debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fashion-mnist").symlink_to(debian)
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", "/no/such/folder")
    assert len(netsmith.tasks.load("fashion-mnist", train_size=50).train) == 50


def test_augmentation_pads_with_the_background() -> None:
    task = netsmith.tasks.load("fashion-mnist", train_size=20, test_size=10, augment=True)
    images = task.train.tensors[0]
    assert task.augment is not None
    changed = task.augment(torch.full_like(images, float(images.min())), torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed, torch.full_like(images, float(images.min())))


def test_the_message_names_the_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(fashion_mnist, "_DEBIAN", "/no/such/folder")
    monkeypatch.setattr(fashion_mnist, "_HOME", "http://127.0.0.1:9/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError, match=r"looked in /no/such/folder.*dataset-fashion-mnist") as error:
        netsmith.tasks.load("fashion-mnist")
    assert "\n" not in str(error.value)
