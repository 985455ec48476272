from __future__ import annotations

import torch
from torch.utils.data import Dataset, TensorDataset

from netsmith.tasks.batches import batch_of, in_order
from netsmith.training.batches import epoch_batches


class Ragged(Dataset):
    """Sequences of their own lengths, put together end to end."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return torch.full((index + 1,), float(index)), index

    def collate(self, samples):
        return (torch.cat([x for x, _ in samples]),), torch.tensor([y for _, y in samples])


class Plain(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index


def test_a_data_set_puts_its_samples_together_itself() -> None:
    (inputs,), targets = batch_of(Ragged(), [2, 0])
    assert (inputs.tolist(), targets.tolist()) == ([2, 2, 2, 0], [2, 0])


def test_other_data_sets_are_collated_and_tensors_indexed() -> None:
    for data in (Plain(), TensorDataset(torch.arange(3.0)[:, None].expand(3, 2), torch.arange(3))):
        inputs, targets = batch_of(data, torch.tensor([2, 1]))
        assert (inputs.tolist(), targets.tolist()) == ([[2, 2], [1, 1]], [2, 1])


def test_every_sample_comes_once_and_in_order() -> None:
    assert [targets.tolist() for _, targets in in_order(Ragged(), 2)] == [[0, 1], [2, 3], [4]]


def test_training_puts_samples_together_the_same_way() -> None:
    steps, epoch = epoch_batches(Ragged(), 2, seed=0)
    batches = list(epoch(0))
    assert steps == len(batches) == 2
    for (inputs,), targets in batches:
        (expected,), _ = batch_of(Ragged(), targets)
        assert torch.equal(inputs, expected)
