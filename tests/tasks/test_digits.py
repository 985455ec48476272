from __future__ import annotations

import torch
from sklearn.datasets import load_digits

import netsmith.tasks
from netsmith.tasks import digits


def test_split_is_whole_disjoint_and_stratified() -> None:
    task = netsmith.tasks.load("digits")
    assert (len(task.train), len(task.test)) == (1257, 540)
    images = torch.cat([task.train.tensors[0], task.test.tensors[0]])
    restored = ((images * digits.STD + digits.MEAN) * 16).round().int().flatten(1)
    targets = torch.cat([task.train.tensors[1], task.test.tensors[1]])
    pixels, labels = load_digits(return_X_y=True)
    rows = sorted([*row, label] for row, label in zip(restored.tolist(), targets.tolist(), strict=True))
    assert rows == sorted([*row, label] for row, label in zip(pixels.tolist(), labels.tolist(), strict=True))
    whole = torch.from_numpy(labels).bincount()
    assert ((task.test.tensors[1].bincount() - 0.3 * whole).abs() < 1).all()


def test_always_the_same_and_standardised() -> None:
    first, second = netsmith.tasks.load("digits"), netsmith.tasks.load("digits")
    for one, other in zip(first.train.tensors, second.train.tensors, strict=True):
        assert torch.equal(one, other)
    images = first.train.tensors[0]
    assert abs(float(images.mean())) < 1e-3
    assert abs(float(images.std()) - 1) < 1e-3
    assert images.shape[1:] == first.input_shape == (1, 8, 8)


def test_short_runs() -> None:
    task = netsmith.tasks.load("digits", train_size=200, test_size=100)
    assert task.train.tensors[1].bincount().tolist() == [20] * 10
    assert task.test.tensors[1].bincount().tolist() == [10] * 10
