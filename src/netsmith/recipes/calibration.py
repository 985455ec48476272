"""A few training inputs, on which a recipe looks at what a network does inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from netsmith.calling import moved
from netsmith.tasks.batches import batch_of, size_of

if TYPE_CHECKING:
    from netsmith.contracts import Loss
    from netsmith.recipes.job import Job


def calibration(job: Job, samples: int) -> Loss:
    """Return the job's loss as ``model -> scalar`` on one batch of training inputs, drawn by its seed."""
    order = torch.randperm(size_of(job.task.train), generator=torch.Generator().manual_seed(job.seed))
    device = next((tensor.device for tensor in job.model.parameters()), torch.device("cpu"))
    batch = moved(batch_of(job.task.train, order[:samples]), device)
    return lambda network: job.task.batch_loss(network, batch)
