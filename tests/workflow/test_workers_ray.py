"""Trials on a real Ray cluster of two worker processes, one of which is killed."""

from __future__ import annotations

import sys
from collections import Counter

import optuna
import pytest
import ray

import netsmith as ns
from netsmith.errors import UnknownNameError
from netsmith.workflow.trials import FILE
from netsmith.workflow.work_through import TRIES, work_through

MINE = """
import os
from pathlib import Path
import torch
from torch import nn
import netsmith as ns
import netsmith.tasks

def few():
    return netsmith.tasks.load("digits", train_size=60, test_size=40)

def net(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, classes))

def mortal(job):
    first = not Path("died").exists()
    Path("died").touch()
    if first:
        os.kill(os.getpid(), 9)
    return ns.shrink(job.model, job.inputs, budget=job.budget)
"""


@pytest.fixture(scope="module")
def cluster(quick_grid):
    # The worker processes cannot import what only pytest can.
    ray.cloudpickle.register_pickle_by_value(sys.modules[quick_grid.__module__])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100_000_000,
    )
    yield
    ray.shutdown()


def kept(folder):
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / FILE}")
    return optuna.load_study(study_name="compare", storage=storage).get_trials()


def test_trial_of_a_killed_worker_is_done_again_and_counts_once(cluster, quick_grid, cells, tmp_path):
    grid = quick_grid(cells, dies=cells[2])
    compared = work_through(grid, tmp_path, progress=False, workers="ray")
    assert Counter((row["method"], row["seed"]) for row in compared.rows) == Counter(
        (cell.method, cell.seed) for cell in cells
    )
    assert compared.failures == []
    states = Counter(trial.state.name for trial in kept(tmp_path))
    assert states == {"COMPLETE": len(cells), "FAIL": 1}
    (failed,) = (trial for trial in kept(tmp_path) if trial.state.name == "FAIL")
    assert (failed.user_attrs["method"], failed.user_attrs["seed"]) == ("a", 2)
    assert "the worker was killed" in failed.user_attrs["reason"]
    begun = [path.name.split("-")[1:] for path in tmp_path.glob("begun-*")]
    # Every cell was begun once, the killed one by two processes.
    assert len(begun) == len(cells) + 1
    assert len({process for method, seed, process in begun if (method, seed) == ("a", "2")}) == 2


def test_cell_that_kills_every_worker_fails_and_the_others_go_on(cluster, quick_grid, cells, tmp_path):
    class Deadly(quick_grid):
        def row(self, cell, folder, progress):
            if cell == self.dies:
                import os

                os.kill(os.getpid(), 9)
            return super().row(cell, folder, progress)

    compared = work_through(Deadly(cells[:3], dies=cells[1]), tmp_path, progress=False, workers="ray")
    assert sorted(row["seed"] for row in compared.rows) == [0, 2]
    assert [(failure["method"], failure["seed"]) for failure in compared.failures] == [("a", 1)]
    assert "the worker was killed" in compared.failures[0]["error"]
    assert Counter(trial.state.name for trial in kept(tmp_path)) == {"COMPLETE": 2, "FAIL": TRIES}


def test_comparison_with_a_method_by_its_path(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mortals.py").write_text(MINE)
    compared = ns.compare(
        "mortals.py:net",
        "mortals.py:few",
        methods=["mortals.py:mortal"],
        budgets=["macs=0.5"],
        seeds=1,
        epochs=1,
        out="c",
        workers="ray",
        progress=False,
    )
    assert [(row["method"], row["seed"]) for row in compared.rows] == [("mortals.py:mortal", 0)]
    assert compared.rows[0]["after"]["macs"] <= 0.5 * compared.rows[0]["before"]["macs"]
    assert len(kept(tmp_path / "c")) == 2


def test_unknown_workers_are_named(quick_grid, cells, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown kind of workers 'dask'; known: ray"):
        work_through(quick_grid(cells), tmp_path, progress=False, workers="dask")
