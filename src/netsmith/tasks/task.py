"""A task: data, loss and metric in one place, so that every method is measured by the same rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from netsmith.calling import call, moved
from netsmith.contracts import Inputs
from netsmith.errors import DataError
from netsmith.modes import evaluating
from netsmith.tasks.batches import Batch, batch_of, in_order, size_of

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""``(images [n, ...], generator) -> images [n, ...]``: a random change of a whole float batch."""
Kind = Literal["images", "tokens", "nodes", "graphs"]
"""What a network reads and classifies: images, each position of a sequence of tokens, the nodes of one graph,
or whole graphs."""
IGNORED = -100
"""The target of a position without one, as in :func:`torch.nn.functional.cross_entropy`."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of logits ``[..., classes]`` against class ids ``[...]``.

    >>> round(float(cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64)).exp()), 3)
    4.0
    """
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


@dataclass(frozen=True, eq=False)
class Varying:
    """What may vary in the size of the inputs, so that an exported network takes other sizes too.

    Args:
        dims: for each argument of the model the dimensions that vary and their names, for instance
            ``({0: "batch", 1: "time"},)``.
        example: inputs to export with, small where exporting takes longer on large ones.
    """

    dims: Sequence[Mapping[int, str]]
    example: Inputs


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What training takes on this data when nothing else is said; None leaves it to the trainer."""

    batch_size: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task, ready to train on and to measure with.

    A batch of either data set is ``(inputs, targets)``: what a model is called with (one tensor, a tuple or a
    dict), and class ids of the shape of the logits without their last dimension, :data:`IGNORED` where there
    is nothing to tell.

    Args:
        name: what reports call it; one name, one set of data.
        train: map-style data set of (input, class ids); one with variable sizes has a method ``collate``.
        test: held-out data of the same form; no method may look at it.
        classes: number of classes.
        input_shape: shape of one input, without the batch; of a graph the number of features of a node.
        augment: random change of a training batch, or None.
        loss: ``(logits [..., classes], targets [...]) -> scalar``.
        metrics: what :meth:`measure` returns: ``"accuracy"``, and ``"perplexity"`` where that is usual.
        kind: what a network for it reads.
        varying: which sizes of the inputs vary; by default only how many there are.
        defaults: for training on it.

    Example:
        >>> import netsmith.tasks
        >>> task = netsmith.tasks.load("digits", train_size=100, test_size=50)
        >>> task.input_shape, task.classes, len(task.train)
        ((1, 8, 8), 10, 100)
    """

    name: str
    train: Dataset[Any]
    test: Dataset[Any]
    classes: int
    input_shape: tuple[int, ...]
    augment: Augment | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    metrics: tuple[str, ...] = ("accuracy",)
    kind: Kind = "images"
    varying: Varying | None = None
    defaults: Defaults = Defaults()

    def example(self, count: int = 1) -> Inputs:
        """Return the first ``count`` held-out inputs, as a model is called with them."""
        return batch_of(self.test, range(min(count, size_of(self.test))))[0]

    def batch_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of a model on one batch, as :func:`netsmith.train.fit` wants it."""
        inputs, targets = batch
        return self.loss(call(model, inputs), targets)

    def evaluate(
        self, model: nn.Module, device: torch.device | str | None = None, batch_size: int | None = None
    ) -> float:
        """Return the share (0 to 1) of held-out targets that the largest logit is at; see :meth:`measure`."""
        return self.measure(model, device, batch_size)["accuracy"]

    @torch.no_grad()
    def measure(
        self, model: nn.Module, device: torch.device | str | None = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """Return every metric of the held-out data.

        ``accuracy`` is the share (0 to 1) of targets at which the largest logit is; logits that hold a NaN
        count as wrong. ``perplexity`` is the exponential of the mean cross entropy, in nats. The model runs
        in eval mode and every module's mode is put back afterwards, also after an error.

        Args:
            model: maps inputs to logits ``[..., classes]``.
            device: where the model is; by default where its first parameter is.
            batch_size: samples per forward pass; does not change the result.

        Raises:
            DataError: the model does not return one logit per class.
        """
        if device is None:
            device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        size = batch_size or (self.defaults.batch_size or 256) * 2
        hits, count, nats = 0, 0, 0.0
        with evaluating(model):
            for batch in in_order(self.test, size):
                inputs, targets = moved(batch, device)
                logits = self._checked(call(model, inputs), targets)
                told = targets != IGNORED
                right = (logits.argmax(dim=-1) == targets) & ~logits.isnan().any(dim=-1)
                hits, count = hits + int((right & told).sum()), count + int(told.sum())
                if "perplexity" in self.metrics:
                    nats += float(cross_entropy(logits, targets)) * int(told.sum())
        found = {"accuracy": hits / count}
        return found | {"perplexity": _exponential(nats / count)} if "perplexity" in self.metrics else found

    def _checked(self, logits: Any, targets: Tensor) -> Tensor:
        wanted = (*targets.shape, self.classes)
        if isinstance(logits, Tensor) and logits.shape == wanted:
            return logits
        got = list(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise DataError(
            f"task {self.name!r} needs one logit per class, {list(wanted)}, but the model returned {got}; "
            f"build it with classes={self.classes}"
        )


def _exponential(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
