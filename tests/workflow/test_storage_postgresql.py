"""Trials in a real PostgreSQL that several machines share, and that goes away."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import sqlalchemy
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import FileError, NetsmithError, UnknownNameError
from netsmith.workflow import storage
from netsmith.workflow.trials import Trials
from netsmith.workflow.work_through import work_through


@pytest.fixture
def away(monkeypatch):
    """Time that passes only while the storage is waited for; each pause is noted, and can do something."""

    class Pauses(list):
        now = 0.0
        then = staticmethod(lambda count: None)

        def sleep(self, seconds):
            self.now += seconds
            self.append(seconds)
            self.then(len(self))

    pauses = Pauses()
    monkeypatch.setattr(storage.time, "sleep", pauses.sleep)
    monkeypatch.setattr(storage.time, "monotonic", lambda: pauses.now)
    return pauses


def folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "two"


def test_two_machines_share_the_cells_and_none_is_done_twice(postgres, quick_grid, cells, tmp_path):
    grids = [quick_grid(cells), quick_grid(cells)]
    machines = [
        threading.Thread(
            target=work_through, args=(grid, folder), kwargs={"progress": False, "storage": postgres.url}
        )
        for grid, folder in zip(grids, folders(tmp_path), strict=True)
    ]
    for machine in machines:
        machine.start()
    for machine in machines:
        machine.join()
    whole = work_through(grids[0], tmp_path / "one", progress=False, storage=postgres.url)
    expected = Counter((cell.method, cell.seed) for cell in cells)
    assert Counter((row["method"], row["seed"]) for row in whole.rows) == expected
    begun = Counter(tuple(path.name.split("-")[1:3]) for path in tmp_path.glob("*/begun-*"))
    assert begun == {(method, str(seed)): 1 for method, seed in expected}


def test_trial_of_a_machine_that_gives_no_sign_of_life_is_taken_over(postgres, cells, tmp_path):
    one, two = folders(tmp_path)
    dead, other = (Trials(folder, postgres.url, study="dead") for folder in (one, two))
    lost, cell = dead.claim(cells[:1])
    dead.close()
    other.drop_unfinished()
    assert other.claim(cells[:1]) is None
    url = postgres.url.replace("postgresql:", "postgresql+psycopg2:")
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(
            sqlalchemy.text("update trial_heartbeats set heartbeat = heartbeat - interval '1 hour'")
        )
    taken, again = other.claim(cells[:1])
    assert again == cell
    other.finish(taken, {"after": {"accuracy": 0.5}, "by": "other"})
    # It was not dead after all: its outcome comes too late to count a second time.
    dead.finish(lost, {"after": {"accuracy": 0.5}, "by": "dead"})
    assert [row["by"] for row in other.rows()] == ["other"]
    other.close()


def test_storage_that_comes_back_is_waited_for(postgres, cells, tmp_path, away):
    trials = Trials(tmp_path, postgres.url, study="back")
    trial, _ = trials.claim(cells[:1])
    postgres.stop()
    away.then = lambda count: postgres.start() if count == 3 else None
    trials.finish(trial, {"after": {"accuracy": 0.5}})
    assert away == [0.5, 1.0, 2.0]
    assert len(trials.rows()) == 1
    trials.close()


def test_storage_that_stays_away_stops_the_run_with_everything_saved(postgres, tmp_path, away):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).eval()
    task = ns.tasks.load("digits", train_size=60, test_size=40)
    done = []

    def last(job):
        done.append(job.seed)
        small = ns.shrink(job.model, job.inputs, budget=job.budget)
        postgres.stop()
        return small

    settings = {"methods": [last], "budgets": ["macs=0.5"], "seeds": 1, "epochs": 1, "progress": False}
    settings |= {"out": tmp_path / "c", "storage": postgres.url}
    with pytest.raises(FileError, match=r"does not answer for 120 seconds .*--resume") as caught:
        ns.compare(model, task, **settings)
    assert "secret" not in str(caught.value)
    assert away.now <= 120
    assert list((tmp_path / "c" / "trials").glob("*/result.json"))
    postgres.start()
    compared = ns.compare(model, task, **settings, resume=True)
    assert [row["method"] for row in compared.rows] == ["last"]
    assert done == [0]
    assert "secret" not in (tmp_path / "c" / "run.json").read_text()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://nobody@/postgres?host=/nowhere", "does not answer .*No such file"),
        ("redis://host", "unknown kind of storage 'redis'"),
        ("somewhere", "cannot read the storage's URL"),
    ],
)
def test_storage_that_never_was_is_named_at_once(tmp_path, url, words):
    with pytest.raises((FileError, UnknownNameError), match=words):
        Trials(tmp_path, url)


def test_missing_driver_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(storage.DRIVERS, "mysql", "no_such_driver")
    with pytest.raises(NetsmithError, match="a mysql storage needs no_such_driver"):
        Trials(tmp_path, "mysql://host/database")
