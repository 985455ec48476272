"""Weights on one half of the data, structure on the other: one step of each in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from netsmith.contracts import Clock
from netsmith.errors import DataError, NetsmithError
from netsmith.tasks.batches import Batch, batch_of, size_of

if TYPE_CHECKING:
    from netsmith.searches.transformable import TransformableSearch

Pair = tuple[tuple[Any, Any], tuple[Any, Any]]
"""``((inputs for the weights, inputs for the structure), (targets of the ones, of the others))``."""


class Paired(Dataset[int]):
    """Two data sets, a batch of each at a time: as long as the first, the second is gone through in step.

    Args:
        weights: what the weights learn from.
        structure: what the structure learns from; no sample of it may be in the other.

    Raises:
        DataError: the two share samples, or one has none.
    """

    def __init__(self, weights: Dataset[Any], structure: Dataset[Any]) -> None:
        shared = _shared(weights, structure)
        if shared:
            raise DataError(
                f"the two data sets share {shared} samples; a structure that is judged on what the weights "
                "have seen favours whatever learns by heart: take netsmith.searches.halves"
            )
        if not size_of(weights) or not size_of(structure):
            raise DataError("one of the two data sets has no samples")
        self.weights, self.structure = weights, structure

    def __len__(self) -> int:
        return size_of(self.weights)

    def __getitem__(self, row: int) -> int:
        return row

    def collate(self, rows: Sequence[int]) -> Pair:
        """Return the rows of both as ``((inputs, inputs), (targets, targets))``."""
        index = torch.as_tensor(rows)
        first, second = _rows(self.weights, index), _rows(self.structure, index % size_of(self.structure))
        return (first[0], second[0]), (first[1], second[1])


def halves(data: Dataset[Any], seed: int = 0) -> Paired:
    """Return a data set in two halves that share nothing, chosen by chance.

    >>> from torch.utils.data import TensorDataset
    >>> len(halves(TensorDataset(torch.arange(10), torch.arange(10))))
    5
    """
    order = torch.randperm(size_of(data), generator=torch.Generator().manual_seed(seed)).tolist()
    middle = len(order) // 2
    return Paired(Subset(data, order[middle:]), Subset(data, order[:middle]))


class Alternation:
    """The two steps of a differentiable search, for :func:`netsmith.train.fit` and its kin.

    ``fit(search, halves(data), loss=steps.loss, after_step=steps.after_step, optimizer=...)``, with an
    optimiser of ``search.network.parameters()``. After each step of the weights one of Adam (betas 0.5 and
    0.999) follows for the logits, on the other data, with the loss of the task plus ``cost_weight`` times
    that of the cost. One process alone. In a loop of your own, :meth:`step` follows each step of the weights.

    Args:
        search: what is trained.
        loss: ``(model, (inputs, targets)) -> scalar``.
        cost_weight: of the cost's loss.
        learning_rate: of the logits.
        weight_decay: of the logits, towards equal probabilities.
        tolerance: share of the budget that may be left unused.
        temperatures: the first and the last.

    Raises:
        NetsmithError: a setting out of range.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 3))
        >>> search = ns.searches.TransformableSearch(
        ...     net, torch.zeros(1, 4), budget=ns.Budget(macs=0.6), depth=False)
        >>> steps = Alternation(search, lambda model, batch: model(batch[0]).square().mean())
        >>> steps.step((torch.ones(5, 4), None)).shape
        torch.Size([])
    """

    def __init__(
        self,
        search: TransformableSearch,
        loss: Callable[[nn.Module, Any], Tensor],
        *,
        cost_weight: float = 2.0,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        tolerance: float = 0.05,
        temperatures: tuple[float, float] = (5.0, 0.1),
    ) -> None:
        if cost_weight < 0 or not learning_rate > 0 or not 0 <= tolerance < 1 or not min(temperatures) > 0:
            raise NetsmithError(
                f"cost_weight={cost_weight}, learning_rate={learning_rate}, tolerance={tolerance}, "
                f"temperatures={temperatures}: expected 0 or more, above 0, a share below 1, and above 0"
            )
        self.search, self._loss = search, loss
        self.cost_weight, self.tolerance, self.temperatures = cost_weight, tolerance, temperatures
        self.optimizer = torch.optim.Adam(
            search.structure(), lr=learning_rate, betas=(0.5, 0.999), weight_decay=weight_decay
        )
        self._other: Batch | None = None

    def loss(self, model: nn.Module, batch: Pair) -> Tensor:
        """Return the loss of the weights on the first half of a batch; keep the second for the structure."""
        (inputs, others), (targets, other_targets) = batch
        self._other = (others, other_targets)
        for logits in self.search.structure():
            logits.requires_grad_(False)
        try:
            return self._loss(model, (inputs, targets))
        finally:
            for logits in self.search.structure():
                logits.requires_grad_(True)

    def after_step(self, model: nn.Module, clock: Clock) -> None:
        """Take the step of the structure that belongs to the step of the weights."""
        if self._other is not None:
            self.search.anneal(clock.progress, *self.temperatures)
            self.step(self._other)

    def step(self, batch: Batch) -> Tensor:
        """Take one step of the structure on a batch, and return its loss; weights stay as they are."""
        logits = list(self.search.structure())
        loss = self._loss(self.search, batch)
        loss = loss + self.cost_weight * self.search.cost_loss(self.tolerance)
        gradients = torch.autograd.grad(loss, logits, allow_unused=True)
        for one, gradient in zip(logits, gradients, strict=True):
            one.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed search needs beside the state of the module."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])


def _rows(data: Dataset[Any], rows: Tensor) -> Batch:
    """Return samples as a batch; of a subset those of the data set beneath it, which knows how to collate."""
    if isinstance(data, Subset):
        return _rows(data.dataset, torch.as_tensor(data.indices)[rows])
    return batch_of(data, rows)


def _shared(first: Dataset[Any], second: Dataset[Any]) -> int:
    """Return how many samples two data sets share, as far as that can be seen."""
    if first is second:
        return size_of(first)
    if isinstance(first, Subset) and isinstance(second, Subset) and first.dataset is second.dataset:
        return len(set(first.indices) & set(second.indices))
    return 0
