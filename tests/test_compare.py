from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import FileError, NetsmithError, UnknownNameError
from netsmith.workflow.trials import Cell, Trials

EIGHT = {"accuracy", "params", "nonzero", "macs", "bytes", "latency_s", "eager_s", "energy_j"}


@pytest.fixture(scope="module")
def task():
    return ns.tasks.load("digits", train_size=120, test_size=60)


def build(classes=10) -> nn.Module:
    convolutions = [nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, classes))


def network() -> nn.Module:
    torch.manual_seed(0)
    return build().eval()


class Watched:
    """A recipe that notes the weights and the data order it was given, and can be told to stop."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.seen: list[tuple[int, float, float]] = []
        self.stops: list[BaseException] = []

    def __call__(self, job):
        if self.stops:
            raise self.stops.pop()
        weight = float(job.model[0].weight.detach().sum())
        history = job.fit(job.model, epochs=job.epochs, stage="train")
        self.seen.append((job.seed, weight, history.epochs[0]["loss"]))
        return ns.shrink(job.model, job.inputs, budget=job.budget)


def test_every_method_gets_the_same_start_and_the_same_training(task, tmp_path):
    one, two = Watched("one"), Watched("two")
    settings = {"methods": [one, two], "budgets": ["macs=0.5"], "seeds": 2, "epochs": 1, "progress": False}
    compared = ns.compare("small-cnn", task, **settings, dense_epochs=1, out=tmp_path / "c")
    assert one.seen == two.seen
    assert len({weight for _, weight, _ in one.seen}) == 2
    keys = {"method", "budget", "seed", "epochs", "before", "after", "seconds"}
    assert [set(row) for row in compared.rows] == [keys] * 4
    assert [(row["method"], row["seed"]) for row in compared.rows] == [
        ("one", 0),
        ("two", 0),
        ("one", 1),
        ("two", 1),
    ]
    for row in compared.rows:
        assert set(row["before"]) == set(row["after"]) == EIGHT
        assert row["budget"] == {"macs": 0.5}
        assert row["after"]["macs"] <= 0.5 * row["before"]["macs"]
    accuracies = [row["before"]["accuracy"] for row in compared.rows]
    assert accuracies[::2] == accuracies[1::2]
    assert "one" in (tmp_path / "c" / "comparison.html").read_text()
    shown = str(compared).splitlines()
    assert shown[1].split()[:2] == ["dense", "2"]
    assert [line.split()[:3] for line in shown[2:]] == [["one", "macs=0.5", "2"], ["two", "macs=0.5", "2"]]
    assert "±" in shown[1]


def test_interrupted_comparison_goes_on_and_doubles_nothing(task, tmp_path):
    one, two = Watched("one"), Watched("two")
    two.stops.append(KeyboardInterrupt())
    settings = {"budgets": ["macs=0.5"], "seeds": [3], "epochs": 1, "progress": False, "out": tmp_path / "c"}
    model = network()
    with pytest.raises(KeyboardInterrupt):
        ns.compare(model, task, methods=[one, two], **settings)
    with pytest.raises(FileError, match="already holds this run; continue it with --resume"):
        ns.compare(model, task, methods=[one, two], **settings)
    compared = ns.compare(model, task, methods=[one, two], **settings, resume=True)
    assert [row["method"] for row in compared.rows] == ["one", "two"]
    assert (len(one.seen), len(two.seen)) == (1, 1)
    again = ns.compare(model, task, methods=[one, two], **settings, resume=True)
    assert again.rows == compared.rows
    assert (len(one.seen), len(two.seen)) == (1, 1)
    # It can grow, but its training cannot change under the rows that are there.
    three = Watched("three")
    grown = ns.compare(model, task, methods=[one, three], **settings, resume=True)
    assert [row["method"] for row in grown.rows] == ["one", "two", "three"]
    with pytest.raises(FileError, match="another run: epochs was 1, now 2"):
        ns.compare(model, task, methods=[one], **(settings | {"epochs": 2}), resume=True)


def test_failed_trial_is_told_and_the_others_go_on(task, tmp_path):
    one, two = Watched("one"), Watched("two")
    one.stops.append(NetsmithError("out of luck"))
    settings = {"methods": [one, two], "budgets": ["macs=0.5"], "seeds": 1, "epochs": 1, "progress": False}
    model = network()
    compared = ns.compare(model, task, **settings, out=tmp_path / "c")
    assert [row["method"] for row in compared.rows] == ["two"]
    assert compared.failures == [{"method": "one", "budget": "macs=0.5", "seed": 0, "error": "out of luck"}]
    later = ns.compare(model, task, **settings, out=tmp_path / "c", resume=True)
    assert (len(later.rows), later.failures) == (2, [])


def test_mistakes_are_found_before_any_training(task):
    model = network()
    with pytest.raises(NetsmithError, match="compare got no seeds"):
        ns.compare(model, task, methods=["magnitude"], budgets=["macs=0.5"], seeds=[])
    with pytest.raises(UnknownNameError, match="unknown method 'randon'; did you mean random"):
        ns.compare(model, task, methods=["magnitude", "randon"], budgets=["macs=0.5"])
    with pytest.raises(UnknownNameError, match="unknown method in options 'hfp'"):
        ns.compare(model, task, methods=["magnitude"], budgets=["macs=0.5"], options={"hfp": {}})
    with pytest.raises(NetsmithError, match="cannot be reached"):
        ns.compare(model, task, methods=["magnitude"], budgets=["macs=0.5", "macs=1e-4"])


def test_trials_of_a_killed_process_are_done_again(tmp_path):
    cells = [Cell("a", "macs=0.5", 0), Cell("b", "macs=0.5", 0)]
    first = Trials(tmp_path)
    first.finish(first.start(cells[0]), {"after": {"accuracy": 0.5}, "name": "a"})
    first.start(cells[1])
    second = Trials(tmp_path)
    second.drop_unfinished()
    assert second.missing(cells) == cells[1:]
    second.finish(second.start(cells[1]), {"after": {"accuracy": 0.25}, "name": "b"})
    assert [row["name"] for row in Trials(tmp_path).rows()] == ["a", "b"]
    assert Trials(tmp_path).missing(cells) == []


def test_command_prints_rows_and_says_which_trials_failed(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from netsmith.cli import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETSMITH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "compared_by_the_user.py").write_text(
        "import netsmith as ns\n"
        "import netsmith.tasks\n"
        "from netsmith.errors import NetsmithError\n"
        "def few():\n    return ns.tasks.load('digits', train_size=120, test_size=60)\n"
        "def fails(job):\n    raise NetsmithError('as planned')\n"
    )
    flags = [
        "compare",
        "--data",
        "compared_by_the_user.py:few",
        "--epochs",
        "1",
        "--round-to",
        "1",
        "--quiet",
    ]
    methods = ["--methods", "magnitude,compared_by_the_user.py:fails", "--seeds", "5,", "--out", "c"]
    result = CliRunner().invoke(app, [*flags, *methods, "--budget", "macs=0.5", "--json"])
    assert result.exit_code == 2
    printed = json.loads(result.stdout)
    assert [(row["method"], row["seed"], row["epochs"]) for row in printed["rows"]] == [("magnitude", 5, 1)]
    assert result.stderr.count("\n") == 1
    assert "1 trials failed" in result.stderr
    assert "as planned" in result.stderr
