"""A few training inputs, on which a recipe looks at what a network does inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from netsmith.calling import moved
from netsmith.tasks.batches import Batch, batch_of, size_of

if TYPE_CHECKING:
    from netsmith.contracts import Loss
    from netsmith.recipes.job import Job


def calibration_batch(job: Job, samples: int) -> Batch:
    """Return training inputs and targets, drawn by the job's seed, on the device of its model."""
    order = torch.randperm(size_of(job.task.train), generator=torch.Generator().manual_seed(job.seed))
    device = next((tensor.device for tensor in job.model.parameters()), torch.device("cpu"))
    inputs, targets = moved(batch_of(job.task.train, order[:samples]), device)
    return inputs, targets


def calibration(job: Job, samples: int) -> Loss:
    """Return the job's loss as ``model -> scalar`` on one batch of training inputs, drawn by its seed."""
    batch = calibration_batch(job, samples)
    return lambda network: job.task.batch_loss(network, batch)
