"""The batches of an epoch, a pure function of (data, batch size, seed, epoch, process)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from netsmith.errors import TrainingError
from netsmith.training.randomness import Stream, derive_seed, epoch_order

if TYPE_CHECKING:
    from accelerate import Accelerator

Data = Dataset[Any] | DataLoader[Any]
Epoch = Callable[[int], Iterable[Any]]


def epoch_batches(
    data: Data, batch_size: int, seed: int, accelerator: Accelerator | None = None
) -> tuple[int, Epoch]:
    """Return the number of batches in an epoch and a function ``epoch -> batches of this process``.

    Of a data set, every batch has ``batch_size`` samples over all processes (the processes share them; the
    last, smaller batch of the epoch's order is left out, unless it is the only one). A
    :class:`~torch.utils.data.TensorDataset`, or a subset of one, is indexed batch by batch, not collated; a
    data set with a method ``collate`` puts its samples together itself. A ready loader keeps its own batch
    size (per process) and order; its generators are seeded every epoch.

    Raises:
        TrainingError: no samples, no length, or a batch size that is not positive.
    """
    try:
        samples = len(data)  # type: ignore[arg-type]
    except TypeError as error:
        raise TrainingError(
            f"{type(data).__name__} has no length, so an epoch has no end; give a map-style data set, "
            "or a loader with a __len__"
        ) from error
    if samples < 1 or batch_size < 1:
        raise TrainingError(f"data needs samples and a positive batch_size, got {samples} and {batch_size}")
    if isinstance(data, DataLoader):
        return _of_loader(data, seed, accelerator)
    process, processes = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    fetch = _fetcher(data)

    def epoch(number: int) -> Iterable[Any]:
        batches = _cut(epoch_order(samples, seed, number), batch_size)
        return fetch([_share(batch, process, processes) for batch in batches])

    return max(1, samples // batch_size), epoch


def _cut(order: Tensor, batch_size: int) -> list[Tensor]:
    whole = len(order) // batch_size * batch_size
    return list(torch.split(order[:whole], batch_size)) if whole else [order]


def _share(batch: Tensor, process: int, processes: int) -> Tensor:
    """Return the rows of one process; short batches wrap around, so that every process has as many."""
    missing = -len(batch) % processes
    repeated = batch.repeat(1 + missing // len(batch) + 1)[: len(batch) + missing] if missing else batch
    return repeated[process::processes]


def _fetcher(data: Dataset[Any]) -> Callable[[list[Tensor]], Iterable[Any]]:
    base, chosen = (data.dataset, torch.as_tensor(data.indices)) if isinstance(data, Subset) else (data, None)
    if not isinstance(base, TensorDataset):
        collate = getattr(base, "collate", None)
        return lambda rows: DataLoader(
            data, batch_sampler=[batch.tolist() for batch in rows], collate_fn=collate
        )
    tensors = base.tensors

    def fetch(rows: list[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        for batch in rows:
            index = batch if chosen is None else chosen[batch]
            yield tuple(tensor[index.to(tensor.device)] for tensor in tensors)

    return fetch


def _of_loader(given: DataLoader[Any], seed: int, accelerator: Accelerator | None) -> tuple[int, Epoch]:
    loader = given
    if accelerator is not None and accelerator.num_processes > 1:
        loader = cast("DataLoader[Any]", accelerator.prepare_data_loader(given, device_placement=False))

    def epoch(number: int) -> Iterable[Any]:
        # Accelerate's loader keeps the given one's samplers, so these are the generators of both.
        inner = getattr(given.batch_sampler, "sampler", None)
        parts: tuple[Any, ...] = (given, given.sampler, given.batch_sampler, inner)
        for part in parts:
            generator = getattr(part, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(derive_seed(seed, Stream.ORDER, number))
            if hasattr(part, "set_epoch"):
                part.set_epoch(number)
        return loader

    return len(loader), epoch
