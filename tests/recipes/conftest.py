from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from netsmith import Budget
from netsmith.recipes import Job
from netsmith.tasks import Task


@pytest.fixture
def toy_job() -> Callable[[nn.Module, Tensor, Budget], Job]:
    """Make jobs of nine epochs on random images, whose training only notes its stages, as ``fitted``."""

    def made(model: nn.Module, inputs: Tensor, budget: Budget) -> Job:
        generator = torch.Generator().manual_seed(0)
        data = TensorDataset(
            torch.randn(64, 2, 6, 6, generator=generator), torch.randint(3, (64,), generator=generator)
        )
        fitted: list[tuple[str, int]] = []

        def fit(network: nn.Module, *, epochs: int, learning_rate: float | None, stage: str) -> None:
            fitted.append((stage, epochs))

        task = Task("toy", data, data, 3, (2, 6, 6))
        job = Job(model=model, inputs=inputs, task=task, budget=budget, epochs=9, seed=0, fit=fit)
        job.notes["fitted"] = fitted
        return job

    return made
