"""Numbers that are not finite, found where they start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netsmith.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECK_EVERY = 20


def first_not_finite(model: nn.Module) -> str | None:
    """Return the name of the first parameter with NaN or infinity, or buffer with NaN, or None.

    An infinite buffer is no fault: attention masks hold minus infinity.
    """
    bad = [(name, ~p.detach().isfinite().all()) for name, p in model.named_parameters()]
    bad += [(name, b.isnan().any()) for name, b in model.named_buffers() if b.is_floating_point()]
    if not bad or not bool(torch.stack([flag.cpu() for _, flag in bad]).any()):
        return None
    return next(name for name, flag in bad if flag)


@contextmanager
def last_good_weights(model: nn.Module, where: str, advice: str) -> Iterator[None]:
    """Give the model its weights back, and say why, if it comes to hold a NaN or infinity inside.

    Raises:
        TrainingError: a FloatingPointError, a tensor that is not finite, or any error that came of one.
    """
    good = deepcopy(model.state_dict())
    try:
        yield
        if name := first_not_finite(model):
            raise FloatingPointError(f"{name} came to hold NaN or infinity")
    except Exception as error:
        reason: object = error
        if not isinstance(error, FloatingPointError):
            name = first_not_finite(model)
            if name is None:
                raise
            reason = f"{name} came to hold NaN or infinity, and then: {error}"
        model.load_state_dict(good)
        raise TrainingError(f"training stopped in {where}: {reason}; {advice}") from error


class Losses:
    """The losses of an epoch: (task loss, penalty) per step, averaged over processes and checked.

    Reading a loss from a GPU, or from other processes, waits for them; so they are read every
    :data:`CHECK_EVERY` steps there, and at every step on a CPU.
    """

    def __init__(self, accelerator: Accelerator, device: torch.device) -> None:
        self._accelerator = accelerator
        self._every = 1 if device.type == "cpu" and accelerator.num_processes == 1 else CHECK_EVERY
        self._pending: list[Tensor] = []
        self._sum = torch.zeros(2, dtype=torch.float64)
        self._steps = 0

    def add(self, loss: Tensor, penalty: Tensor | None) -> None:
        """Take the losses of one step.

        Raises:
            FloatingPointError: one is not finite; the message says which and at which step of the epoch.
        """
        second = torch.zeros_like(loss) if penalty is None else penalty.detach().to(loss)
        self._pending.append(torch.stack([loss.detach().reshape(()), second.reshape(())]).float())
        if len(self._pending) >= self._every:
            self.flush()

    def flush(self) -> None:
        """Read and check what has not been read yet."""
        if not self._pending:
            return
        rows = torch.stack(self._pending)
        if self._accelerator.num_processes > 1:
            rows = self._accelerator.reduce(rows, "mean")
        rows, self._pending = rows.cpu().double(), []
        for step, row in enumerate(rows.tolist(), self._steps + 1):
            for name, value in zip(("loss", "penalty"), row, strict=True):
                if not abs(value) < float("inf"):
                    raise FloatingPointError(f"the {name} became {value} at step {step}")
        self._sum += rows.sum(dim=0)
        self._steps += len(rows)

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss and penalty of the steps that were read."""
        loss, penalty = (self._sum / max(1, self._steps)).tolist()
        return loss, penalty
