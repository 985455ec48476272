"""What is recovered after a cut for little, and what is said of where accuracy was lost."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.report import render
from netsmith.report.units import points
from netsmith.workflow.sensitivity import scored_away, sensitivity
from netsmith.workflow.stages import RECALIBRATED, Stages, batch_size


@pytest.fixture(scope="module")
def task():
    return ns.tasks.load("digits", train_size=400, test_size=200)


@pytest.fixture(scope="module")
def trained(task):
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU()]
    second = [nn.Conv2d(12, 12, 3), nn.BatchNorm2d(12), nn.ReLU()]
    model = nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 10))
    ns.train.fit(model, task.train, epochs=6, seed=0, progress=False)
    return model.eval()


def stages(task, model, **settings):
    dense = ns.profile(model, task.example()).total["macs"]
    given = {"task": task, "inputs": task.example(), "epochs": 2, "seed": 0, "progress": False}
    return Stages(**(given | {"dense_macs": dense} | settings))


def test_batch_norms_are_estimated_anew_after_a_cut_and_only_then(task, trained):
    small = ns.shrink(trained, task.example(), budget=ns.Budget(macs=0.4))
    by_hand = ns.train.recalibrate(
        copy.deepcopy(small), task.train, RECALIBRATED, batch_size=batch_size(400), seed=0
    )
    assert not torch.equal(by_hand[1].running_mean, small[1].running_mean)
    cut = task.evaluate(small)
    run = stages(task, trained)
    run.fit(small, epochs=1, stage="finetune")
    run.fit(small, epochs=1, stage="more")
    run.finish(small)
    assert list(run.reached) == [
        "finetune, start",
        "finetune, recalibrated",
        "finetune",
        "more, start",
        "more",
        "the end",
    ]
    assert run.reached["finetune, start"] == cut
    assert run.reached["finetune, recalibrated"] == task.evaluate(by_hand)
    assert run.reached["the end"] == run.reached["more"] == task.evaluate(small)


def test_cut_that_nothing_follows_is_recalibrated_at_the_end(task, trained):
    small = ns.shrink(trained, task.example(), budget=ns.Budget(macs=0.4))
    weights = {name: value.clone() for name, value in small.named_parameters()}
    run = stages(task, trained)
    cut = task.evaluate(small)
    run.finish(small)
    assert run.reached == {"the end": cut, "the end, recalibrated": task.evaluate(small)}
    assert all(torch.equal(value, weights[name]) for name, value in small.named_parameters())
    # Means of inputs that are gone hurt: taking them anew brings accuracy back without any training.
    assert run.reached["the end, recalibrated"] > cut


def test_each_group_alone_is_the_original_with_its_readers_zeroed(task, trained):
    half = ns.shrink(trained, task.example(), budget=ns.Budget(macs=0.5))
    # A second cut counts in the numbering that the first left.
    small = ns.shrink(half, task.example(), budget=ns.Budget(macs=0.5))
    found = sensitivity(trained, task.example(), task, ns.records(small))
    assert found["accuracy"] == task.evaluate(trained)
    lost = sum(group["size"] - group["kept"] for group in found["groups"])
    assert lost == 24 - small[0].out_channels - small[3].out_channels
    shares = [group["kept"] / group["size"] for group in found["groups"]]
    assert shares == sorted(shares)
    for group in found["groups"]:
        place, reader = (0, 3) if group["group"].startswith("0.") else (3, None)
        stay = {tuple(row.flatten().tolist()) for row in _filters(small, trained, place)}
        rows = _filters(trained, trained, place)
        gone = [k for k, row in enumerate(rows) if tuple(row.flatten().tolist()) not in stay]
        assert len(gone) == group["size"] - group["kept"]
        masked = copy.deepcopy(trained)
        with torch.no_grad():
            if reader is None:
                masked[8].weight.view(10, 12, 4)[:, gone] = 0
            else:
                masked[reader].weight[:, gone] = 0
        assert group["accuracy"] == task.evaluate(masked)


def _filters(model, trained, place):
    # The bias tells filters apart whatever inputs they lost; batch norm's weight backs it.
    return torch.stack([model[place].bias, model[place + 1].weight, model[place + 1].bias], dim=1)


def test_nothing_is_said_of_a_network_that_lost_nothing(task, trained):
    assert sensitivity(trained, task.example(), task, ns.records(trained)) is None


def test_report_says_where_accuracy_went(task, trained):
    small = ns.shrink(trained, task.example(), budget=ns.Budget(macs=0.4))
    found = sensitivity(trained, task.example(), task, ns.records(small))
    page = render({"sensitivity": found, "stages": {"finetune, start": 0.5, "finetune, recalibrated": 0.7}})
    assert "Which groups were cut hardest" in page
    assert "finetune, recalibrated" in page
    assert f"{points(0.7 - 0.5)} points" in page
    for group in found["groups"]:
        assert f"{group['kept']} of {group['size']}" in page


def test_group_of_which_one_channel_is_left_is_named():
    groups = [{"group": "a", "size": 8, "kept": 1}, {"group": "b", "size": 8, "kept": 2}]
    (line,) = scored_away({"groups": groups})
    assert line.startswith("all channels but one were cut from a; one had to stay")
    assert scored_away({"groups": groups[1:]}) == scored_away(None) == []
