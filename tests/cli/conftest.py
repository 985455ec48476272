"""Small material for the command's tests: files a user could have, and one finished run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from netsmith.cli import app

MINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
import netsmith.tasks
from netsmith.tasks import Task


class Net(nn.Module):
    def __init__(self, classes, width=12):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.second(self.first(x).relu()).relu()
        return self.head(x.mean((2, 3)))


def net(classes):
    return Net(classes)


def no_arguments():
    return Net(10)


def three_channels():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))


def nothing_to_cut():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def poisoned():
    model = Net(10)
    model.first.weight.data[0] = float("nan")
    return model


def not_a_model():
    return 3


def few():
    return netsmith.tasks.load("digits", train_size=120, test_size=60)


def pair():
    task = few()
    return task.train, task.test


def strange():
    return "images"


class TurnsBad:
    def __init__(self):
        self.calls = 0

    def __call__(self, logits, targets):
        self.calls += 1
        loss = nn.functional.cross_entropy(logits, targets)
        return loss * float("nan") if self.calls > 12 else loss


def turns_bad():
    task = few()
    return Task(task.name, task.train, task.test, task.classes, task.input_shape, loss=TurnsBad())


def halve(job):
    import netsmith as ns

    small = ns.shrink(job.model, job.inputs, ratio=0.5)
    job.fit(small, epochs=job.epochs, stage="mine")
    return small


def greedy(job):
    job.fit(job.model, epochs=job.epochs + 1, stage="greedy")


def lazy(job):
    return None


number = 3
"""


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, with measured tables shared by the tests of this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETSMITH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a Python file with a user's own models, data and methods."""
    path = tmp_path_factory.mktemp("own") / "mine_of_the_user.py"
    path.write_text(MINE)
    return str(path)


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """Return the command as a function: ``run("compress", "--json").stdout``."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def small(mine: str) -> tuple[str, ...]:
    """Flags of a run that takes a second or two."""
    return ("compress", "--model", f"{mine}:net", "--data", f"{mine}:few", "--epochs", "2", "--round-to", "1")


@pytest.fixture(scope="session")
def finished(
    run: Callable[..., Any], small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Folder of a finished run and what ``--json`` printed; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    result = run(*small, "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)
