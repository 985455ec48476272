from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.cost.budget import Budget
from netsmith.errors import NetsmithError
from netsmith.recipes.dnal import dnal
from netsmith.recipes.job import Job
from netsmith.tasks.task import Task
from netsmith.train import fit

INPUTS = torch.zeros(2, 1, 6, 6)


class Small(nn.Module):
    """A stem, a residual block and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.inside = nn.Conv2d(8, 12, 3, padding=1)
        self.inner = nn.BatchNorm2d(12)
        self.back = nn.Conv2d(12, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = (x + self.back(self.inner(self.inside(x)).relu())).relu()
        return self.head(x.mean((2, 3)))


def job(out: Path | None = None, stop_at: str = "", **options: Any) -> Job:
    torch.manual_seed(0)
    inputs = torch.randn(128, 1, 6, 6)
    data = TensorDataset(inputs, (inputs[:, 0, :3].sum((1, 2)) > inputs[:, 0, 3:].sum((1, 2))).long())
    calls: list[tuple[str, int]] = []

    def run(model: nn.Module, *, epochs: int, stage: str, **settings: Any) -> Any:
        calls.append((stage, epochs))
        settings = {"learning_rate": None, **settings}
        if out is not None:
            settings |= {"out": out / stage, "resume": True}
        if stage == stop_at:
            settings["after_epoch"] = interrupted
        return fit(model, data, epochs=epochs, batch_size=16, progress=False, **settings)

    def interrupted(model: nn.Module, clock: ns.train.Clock) -> None:
        if clock.epoch == 3:
            raise KeyboardInterrupt

    task = Task("toy", data, data, 2, (1, 6, 6))
    made = Job(
        model=Small(), inputs=INPUTS, task=task, budget=Budget(macs=0.4), epochs=8, seed=0, fit=run,
        options=options,
    )  # fmt: skip
    made.notes["calls"] = calls
    return made


def macs(model: nn.Module) -> float:
    return ns.profile(model, INPUTS).total["macs"]


def test_three_phases_end_in_an_ordinary_smaller_network_within_the_budget():
    given = job(weights=0.25, gates=0.5)
    dense = macs(given.model)
    small = dnal(given)
    assert given.notes["calls"] == [("weights", 2), ("gates", 4), ("finetune", 2)]
    assert type(small) is Small
    assert {type(module) for module in small.modules()} == {type(module) for module in Small().modules()}
    assert small.state_dict().keys() == Small().state_dict().keys()
    assert 0.3 * dense < macs(small) <= 0.4 * dense
    assert all(parameter.requires_grad for parameter in small.parameters())
    notes = given.notes["dnal"]
    assert notes["gates"] == 20
    assert notes["undecided"] <= notes["gates"]


def test_the_strength_follows_the_budget_unless_told_not_to():
    strengths = {}
    for adapt in (True, False):
        given = job(adapt=adapt, gates=0.5)
        dnal(given)
        strengths[adapt] = given.notes["dnal"]["strength_at_the_end"]
    assert strengths[False] == 1e-3
    assert strengths[True] != 1e-3


def test_resumes_bit_for_bit_from_the_middle_of_the_gates(tmp_path: Path):
    whole = dnal(job(gates=0.5))
    with pytest.raises(KeyboardInterrupt):
        dnal(job(tmp_path, "gates", gates=0.5))
    resumed = dnal(job(tmp_path, gates=0.5))
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_learns_gates_for_an_epoch_at_least():
    given = job(gates=0.0)
    dnal(given)
    assert given.notes["calls"] == [("gates", 1), ("finetune", 7)]


def test_mistakes():
    with pytest.raises(NetsmithError, match=r"weights=0\.6 and gates=0\.5 are shares of the epochs"):
        dnal(job(weights=0.6, gates=0.5))
    with pytest.raises(NetsmithError, match=r"strength is -1\.0; expected"):
        dnal(job(strength=-1.0))
    with pytest.raises(NetsmithError, match="must grow from a positive number"):
        dnal(job(delta=0.5))
    with pytest.raises(NetsmithError, match="did you mean gates"):
        dnal(job(gate=0.5))
