from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.cutting.reconstruct import reconstruct_
from netsmith.errors import NetsmithError
from netsmith.recipes import Job, reconstruction
from netsmith.recipes.calibration import calibration

TASK = ns.tasks.load("digits", train_size=300, test_size=50)


def job_of(fit: Any, **options: Any) -> Job:
    torch.manual_seed(0)
    model = ns.zoo.build("small-cnn", classes=10, input_shape=(1, 8, 8)).eval()
    inputs = TASK.example()
    return Job(
        model=model,
        inputs=inputs,
        task=TASK,
        budget=ns.Budget(macs=0.3),
        epochs=5,
        seed=2,
        fit=fit,
        options=options,
    )


def test_the_cut_is_refitted_before_all_epochs_at_half_the_usual_rate() -> None:
    seen = []

    def fit(model: nn.Module, **settings: Any) -> None:
        seen.append((copy.deepcopy(model.state_dict()), settings))

    job = job_of(fit)
    small = reconstruction(job)
    state, asked = seen.pop()
    assert not seen
    usual = TASK.defaults.learning_rate or ns.train.default_optimizer(small).param_groups[0]["lr"]
    assert asked == {"epochs": 5, "learning_rate": 0.5 * usual, "stage": "finetune"}
    by_hand = ns.shrink(job.model, job.inputs, budget=job.budget, scope="local")
    assert reconstruct_(by_hand, job.model, calibration(job, 512), seed=2) == job.notes["refitted"]
    assert all(torch.equal(value, state[name]) for name, value in by_hand.state_dict().items())


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(NetsmithError, match=r"rate=0\.0 must be above 0"):
        reconstruction(job_of(None, rate=0.0))
    with pytest.raises(NetsmithError, match="unknown option 'speed'"):
        reconstruction(job_of(None, speed=1))
