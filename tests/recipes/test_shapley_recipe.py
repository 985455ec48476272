from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.errors import BudgetError, NetsmithError
from netsmith.recipes import Job, shapley
from netsmith.tasks.task import Task

X = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))


def job(budget: ns.Budget, **options: Any) -> Job:
    """Only the first six hidden units are read by the classifier with any weight."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        model[2].weight[:, 6:] = 0
        targets = model(X).argmax(1)
    data = TensorDataset(X, targets)
    fitted: list[tuple[str, int]] = []
    made = Job(
        model=model.eval(),
        inputs=X[:1],
        task=Task("toy", data, data, 3, (5,)),
        budget=budget,
        epochs=4,
        seed=0,
        fit=lambda model, *, epochs, learning_rate, stage: fitted.append((stage, epochs)),
        options=options,
    )
    made.notes["fitted"] = fitted
    return made


def test_what_adds_nothing_goes_first() -> None:
    work = job(ns.Budget(params=0.5), coalitions=4)
    x, y = work.task.train.tensors  # type: ignore[attr-defined]
    before = float(work.task.loss(work.model(x), y).detach())
    small = shapley(work)
    assert small[0].out_features < 9  # type: ignore[index]
    assert float(work.task.loss(small(x), y).detach()) < before + 0.01
    assert work.notes["fitted"] == [("finetune", 4)]
    assert 0 < work.notes["shapley"]["largest_standard_error"] < 1


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="coalitions=0"):
        shapley(job(ns.Budget(params=0.5), coalitions=0))
    with pytest.raises(BudgetError, match="cannot be reached"):
        shapley(job(ns.Budget(params="10")))
    with pytest.raises(NetsmithError, match="unknown option 'draws'"):
        shapley(job(ns.Budget(params=0.5), draws=3))
