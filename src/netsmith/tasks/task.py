"""A task: data, loss and metric in one place, so that every method is measured by the same rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from netsmith.errors import DataError

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""``(images [n, ...], generator) -> images [n, ...]``: a random change of a whole float batch."""


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task, ready to train on and to measure with.

    Args:
        name: what reports call it; one name, one set of images.
        train: pairs of float input ``[*input_shape]`` and class id (int64).
        test: held-out pairs of the same form; no method may look at them.
        classes: number of classes.
        input_shape: shape of one input, without the batch.
        augment: random change of a training batch, or None.
        loss: ``(logits [n, classes], targets [n]) -> scalar``.
        metric: what :meth:`evaluate` returns.

    Example:
        >>> import netsmith.tasks
        >>> task = netsmith.tasks.load("digits", train_size=100, test_size=50)
        >>> task.input_shape, task.classes, len(task.train)
        ((1, 8, 8), 10, 100)
    """

    name: str
    train: TensorDataset
    test: TensorDataset
    classes: int
    input_shape: tuple[int, ...]
    augment: Augment | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    metric: str = "accuracy"

    @torch.no_grad()
    def evaluate(
        self, model: nn.Module, device: torch.device | str | None = None, batch_size: int = 512
    ) -> float:
        """Return the share (0 to 1) of held-out inputs whose largest logit is at their class.

        A row of logits that holds a NaN counts as wrong. The model runs in eval mode and every module's
        mode is put back afterwards, also after an error.

        Args:
            model: maps ``[n, *input_shape]`` to logits ``[n, classes]``.
            device: where the model is; by default where its first parameter is.
            batch_size: inputs per forward pass; does not change the result.

        Raises:
            DataError: the model does not return one logit per class.
        """
        if device is None:
            device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        modes = [(module, module.training) for module in model.modules()]
        inputs, targets = self.test.tensors
        correct = 0
        model.eval()
        try:
            for start in range(0, len(targets), batch_size):
                batch = slice(start, start + batch_size)
                correct += self._correct(model(inputs[batch].to(device)), targets[batch].to(device))
        finally:
            for module, training in modes:
                module.training = training
        return correct / len(targets)

    def _correct(self, logits: Tensor, targets: Tensor) -> int:
        if logits.shape != (len(targets), self.classes):
            raise DataError(
                f"task {self.name!r} needs one logit per class, [{len(targets)}, {self.classes}], but the "
                f"model returned {list(logits.shape)}; build it with classes={self.classes}"
            )
        hits = (logits.argmax(dim=1) == targets) & ~logits.isnan().any(dim=1)
        return int(hits.sum())
