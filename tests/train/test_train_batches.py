"""Data order and batches are functions of (seed, epoch)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from netsmith.train import epoch_order
from netsmith.training.batches import epoch_batches
from netsmith.training.randomness import Stream, derive_seed


@given(samples=st.integers(1, 200), seed=st.integers(0, 2**40), epoch=st.integers(0, 1000))
def test_the_order_is_a_permutation_and_a_function(samples: int, seed: int, epoch: int) -> None:
    order = epoch_order(samples, seed, epoch)
    assert order.sort().values.tolist() == list(range(samples))
    torch.rand(3)
    assert torch.equal(order, epoch_order(samples, seed, epoch))


def test_orders_differ_by_seed_and_epoch() -> None:
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_seeds_differ_by_every_argument() -> None:
    grid = [(s, stream, e, p) for s in range(4) for stream in Stream for e in range(4) for p in range(4)]
    assert len({derive_seed(*point) for point in grid}) == len(grid)


class Plain(Dataset):
    """The same samples as a TensorDataset, by the slow way."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return self.data[index]


@given(
    samples=st.integers(1, 40), batch_size=st.integers(1, 50), epoch=st.integers(0, 3), subset=st.booleans()
)
def test_the_fast_path_gives_what_the_loader_gives(
    samples: int, batch_size: int, epoch: int, subset: bool
) -> None:
    data = TensorDataset(torch.arange(samples), torch.rand(samples, 2))
    chosen = list(range(0, samples, 2))
    fast, slow = (Subset(data, chosen), Subset(Plain(data), chosen)) if subset else (data, Plain(data))
    steps, batches = epoch_batches(fast, batch_size, 7)
    slow_steps, slow_batches = epoch_batches(slow, batch_size, 7)
    found, expected = list(batches(epoch)), list(slow_batches(epoch))
    assert len(found) == len(expected) == steps == slow_steps
    assert all(
        torch.equal(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)
    )


@given(samples=st.integers(1, 60), batch_size=st.integers(1, 20), processes=st.integers(1, 5))
def test_processes_share_a_batch_evenly(samples: int, batch_size: int, processes: int) -> None:
    data = TensorDataset(torch.arange(samples))
    _, alone = epoch_batches(data, batch_size, 0)
    shares = [
        list(
            epoch_batches(data, batch_size, 0, SimpleNamespace(process_index=p, num_processes=processes))[1](
                0
            )
        )
        for p in range(processes)
    ]
    for number, (whole,) in enumerate(alone(0)):
        parts = [share[number][0] for share in shares]
        assert len({len(part) for part in parts}) == 1
        assert set(torch.cat(parts).tolist()) == set(whole.tolist())
        assert sum(map(len, parts)) - len(whole) < processes


def test_a_loader_keeps_its_batches_and_its_generator_is_seeded() -> None:
    def orders(loader: DataLoader) -> list[list[int]]:
        steps, batches = epoch_batches(loader, 128, seed=3)
        assert steps == 4
        return [torch.cat([x for (x,) in batches(epoch)]).tolist() for epoch in (0, 1, 0)]

    data = TensorDataset(torch.arange(10))
    first = orders(DataLoader(data, 3, shuffle=True, generator=torch.Generator().manual_seed(1)))
    again = orders(DataLoader(data, 3, shuffle=True, generator=torch.Generator().manual_seed(2)))
    assert first == again
    assert first[0] == first[2] != first[1]


def test_a_sampler_is_told_the_epoch() -> None:
    class Sampler(torch.utils.data.SequentialSampler):
        epoch = -1

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

    data = TensorDataset(torch.arange(4))
    sampler = Sampler(data)
    epoch_batches(DataLoader(data, sampler=sampler), 1, 0)[1](5)
    assert sampler.epoch == 5


@pytest.mark.parametrize("samples", [1, 5, 127])
def test_a_small_data_set_is_one_batch(samples: int) -> None:
    steps, batches = epoch_batches(TensorDataset(torch.arange(samples)), 128, 0)
    assert [len(x) for (x,) in batches(0)] == [samples]
    assert steps == 1
