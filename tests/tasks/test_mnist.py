from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import torch

import netsmith.tasks
from netsmith.errors import DataError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture
def own_copy(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the real files that a test may damage."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for path in (shared_data / "mnist").glob("*.gz"):
        shutil.copyfile(path, folder / path.name)
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    return folder


def test_the_whole_set(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(shared_data))
    task = netsmith.tasks.load("mnist")
    images, targets = task.train.tensors
    assert images.shape == (60_000, 1, 28, 28)
    assert targets.bincount().tolist() == TRAIN_COUNTS
    assert task.test.tensors[1].bincount().tolist() == TEST_COUNTS
    assert targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(float(images.mean())) < 1e-3
    assert abs(float(images.std()) - 1) < 1e-3
    assert (task.name, task.classes, task.input_shape, task.augment) == ("mnist", 10, (1, 28, 28), None)


def test_short_runs_and_plain_files(own_copy: Path) -> None:
    for path in own_copy.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    task = netsmith.tasks.load("mnist", train_size=1000, test_size=100)
    assert task.train.tensors[1].bincount().tolist() == [100] * 10
    assert task.test.tensors[1].bincount().tolist() == [10] * 10


def test_one_changed_label_is_found(own_copy: Path) -> None:
    path = own_copy / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(
        DataError, match=rf"{path}.*expected md5 27ae3e4e09519cfbb04c329615203637, got [0-9a-f]{{32}}"
    ):
        netsmith.tasks.load("mnist")


def test_truncated_file(own_copy: Path) -> None:
    path = own_copy / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(DataError, match=f"{path} is not a whole gzip file"):
        netsmith.tasks.load("mnist")


def test_incomplete_folder(own_copy: Path) -> None:
    (own_copy / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=f"{own_copy} has no file 't10k-images-idx3-ubyte.gz'"):
        netsmith.tasks.load("mnist")


def test_missing_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"nowhere', which is not a directory; point it at .*nowhere/mnist'"):
        netsmith.tasks.load("mnist")


def test_targets_fit_the_loss(own_copy: Path) -> None:
    task = netsmith.tasks.load("mnist", train_size=10, test_size=10)
    images, targets = task.train.tensors
    logits = torch.zeros(10, 10)
    torch.testing.assert_close(task.loss(logits, targets), torch.tensor(10.0).log())
    assert images.dtype == torch.float32
