from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.errors import BudgetError, DataError, FileError, NetsmithError, TrainingError, UnknownNameError
from netsmith.workflow.folder import claim, differences
from netsmith.workflow.plan import default_epochs
from netsmith.workflow.stages import Stages, batch_size


@pytest.fixture(scope="module")
def task():
    return ns.tasks.load("digits", train_size=120, test_size=60)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)).eval()


def cut_only(job):
    """A recipe of the user's own, as a plain function."""
    job.notes["saw"] = {"epochs": job.epochs, "train": len(job.task.train)}
    return ns.shrink(job.model, job.inputs, budget=job.budget)


def test_a_trained_network_is_shaped_and_left_as_it_was(task):
    model = network()
    before = copy.deepcopy(model.state_dict())
    result = ns.compress(model, task, method=cut_only, budget=ns.Budget(macs=0.5), epochs=3, progress=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert result.before["accuracy"] == task.evaluate(model)
    assert result.after["macs"] <= 0.5 * result.before["macs"]
    assert result.history == []
    assert (result.method, result.path) == ("cut-only", None)
    assert result.details["notes"] == {"saw": {"epochs": 3, "train": 120}}
    assert result.records == ns.records(result.model)


def test_user_s_network_does_not_train_before_the_method_unless_asked(task, tmp_path):
    result = ns.compress(
        network(), task, budget="params=0.5", epochs=1, dense_epochs=1, out=tmp_path / "run", progress=False
    )
    assert [row["stage"] for row in result.history] == ["dense", "finetune"]
    assert result.path == tmp_path / "run"
    loaded = ns.load(result.path / "model.nsm")
    assert all(
        torch.equal(value, loaded.state_dict()[name]) for name, value in result.model.state_dict().items()
    )
    with pytest.raises(FileError, match="another run: fingerprints"):
        ns.compress(
            nn.Sequential(*network()[:-1], nn.Linear(12, 10)),
            task,
            budget="params=0.5",
            epochs=1,
            dense_epochs=1,
            out=tmp_path / "run",
            resume=True,
        )


def test_pair_of_data_sets_is_a_task(task):
    result = ns.compress(
        network(), (task.train, task.test), method=cut_only, budget={"macs": 0.5}, epochs=1, progress=False
    )
    assert result.details["data"] == "your data"


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"method": "hfpp"}, UnknownNameError, "unknown method 'hfpp'; did you mean hfp"),
        ({"budget": {"mac": 0.3}}, UnknownNameError, "unknown budget key 'mac'; did you mean macs"),
        ({"budget": ""}, BudgetError, "budget is empty"),
        ({"data": 5}, DataError, "data is a int"),
        ({"data": ([], [])}, DataError, "train data"),
        ({"epochs": 0}, NetsmithError, "epochs must be at least 1"),
        ({"dense_epochs": -1}, NetsmithError, "dense_epochs must be 0 or more"),
        ({"seed": -1}, NetsmithError, "seed must be a whole number"),
        ({"round_to": 0}, NetsmithError, "round_to must be a whole number from 1 on"),
        ({"model": nn.Flatten()}, DataError, r"returns \[64\] for each input.*needs \[10\] logits"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(task, tmp_path, change, error, match):
    settings = {"model": network(), "data": task, "budget": "macs=0.5", "out": tmp_path / "run"} | change
    model, data = settings.pop("model"), settings.pop("data")
    with pytest.raises(error, match=match):
        ns.compress(model, data, **settings, progress=False)
    assert not (tmp_path / "run").exists()


def test_targets_that_are_no_class_ids_are_refused():
    data = torch.utils.data.TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4))
    with pytest.raises(DataError, match="train targets must be class ids"):
        ns.compress(network(), (data, data), budget="macs=0.5")


def test_stages_share_one_purse_of_epochs(task):
    stages = Stages(
        task=task, inputs=task.test.tensors[0][:1], epochs=2, seed=0, dense_macs=1.0, progress=False
    )
    model = network()
    stages.fit(model, epochs=1, stage="one")
    with pytest.raises(TrainingError, match="stage 'one' was trained already"):
        stages.fit(model, epochs=1, stage="one")
    with pytest.raises(TrainingError, match="stage 'two' asks for 2 epochs, 1 of the 2 granted are used"):
        stages.fit(model, epochs=2, stage="two")
    stages.fit(model, epochs=1, stage="two")
    assert [(row["stage"], row["epoch"]) for row in stages.history] == [("one", 1), ("two", 1)]


def test_a_stage_trains_on_the_data_in_another_form(task):
    stages = Stages(
        task=task, inputs=task.test.tensors[0][:1], epochs=1, seed=0, dense_macs=1.0, progress=False
    )
    images, labels = task.train.tensors
    seen = []

    def loss(model, batch):
        (first, second), targets = batch
        seen.append((first - second).abs().max())
        return nn.functional.cross_entropy(model(first), targets)

    class Twice(torch.utils.data.Dataset):
        def __len__(self):
            return len(images)

        def __getitem__(self, row):
            return (images[row], images[row]), labels[row]

    stages.fit(network(), epochs=1, stage="twice", data=Twice(), loss=loss, augment=None)
    assert seen
    assert max(seen) == 0


def test_small_data_gets_more_epochs_and_smaller_batches():
    assert [default_epochs(samples) for samples in (100, 1257, 10_000, 60_000)] == [20, 20, 6, 4]
    assert [batch_size(samples) for samples in (10, 120, 1257, 60_000)] == [16, 16, 32, 128]
    assert all(samples // batch_size(samples) >= 30 for samples in range(1000, 6000, 7))


def fail_in(path: Path, *, work: bool) -> None:
    with claim(path, {"seed": 0}, resume=False):
        if work:
            (path / "checkpoint.pt").write_bytes(b"work")
        raise NetsmithError("on purpose")


def test_folder_of_a_failed_start_is_removed_and_of_a_failed_run_is_kept(tmp_path):
    with pytest.raises(NetsmithError, match="on purpose"):
        fail_in(tmp_path / "none", work=False)
    assert not (tmp_path / "none").exists()
    with pytest.raises(NetsmithError, match="on purpose"):
        fail_in(tmp_path / "some", work=True)
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["checkpoint.pt", "run.json"]


def test_one_process_at_a_time_works_in_a_folder(tmp_path):
    with claim(tmp_path / "run", {"seed": 0}, resume=False):
        second = claim(tmp_path / "run", {"seed": 0}, resume=True)
        with pytest.raises(FileError, match="another process is working in"):
            second.__enter__()
    with claim(tmp_path / "run", {"seed": 0}, resume=True):
        assert (tmp_path / "run" / "run.json").exists()


def test_differences_name_both_values():
    assert differences({"seed": 0, "a": [1]}, {"seed": 1, "a": (1,)}) == ["seed was 0, now 1"]
    assert differences({"seed": 0}, {"seed": 1}, free=("seed",)) == []
    assert differences({}, {"seed": 1}) == ["seed was None, now 1"]


def test_method_is_not_asked_for_a_budget_it_cannot_serve(task):
    from netsmith.cards import card

    @card("Counts weights only", budgets=("params", "bytes"))
    def counts(job):
        raise AssertionError("it must not run")

    message = "method 'counts' cannot serve a budget in latency; it serves params, bytes: give one of these"
    with pytest.raises(BudgetError, match=message):
        ns.compress(network(), task, method=counts, budget="params=0.5,latency=5ms", epochs=1)


def test_single_weights_at_zero_are_counted_beside_all_parameters(task):
    model = network()
    result = ns.compress(
        model, task, method="gradual-magnitude", budget="params=0.5", epochs=1, progress=False
    )
    count = sum(parameter.numel() for parameter in model.parameters())
    assert result.before["params"] == result.after["params"] == count
    assert 0.4 * count <= result.after["nonzero"] <= 0.5 * count < result.before["nonzero"] <= count


def test_the_dense_network_teaches_when_asked():
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher = network()
    with torch.no_grad():
        said = teacher(images)
    pair = (TensorDataset(images, torch.arange(64) % 10), TensorDataset(images, said.argmax(1)))
    agreed = {}
    for distill in (False, True):
        result = ns.compress(
            teacher, pair, budget="macs=0.6", epochs=6, distill=distill, inputs=images[:1], progress=False
        )
        with torch.no_grad():
            apart = torch.log_softmax(result.model(images), 1) - torch.log_softmax(said, 1)
        agreed[distill] = float(apart.abs().mean())
    assert agreed[True] < 0.5 * agreed[False]
