from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import netsmith as ns
from netsmith.errors import BudgetError, NetsmithError
from netsmith.recipes import Job, tas
from netsmith.searches import Paired, TransformableSearch
from netsmith.targets import Distillation
from netsmith.tasks.task import Task
from netsmith.train import fit

X = torch.zeros(1, 3, 8, 8)


def network(name: str = "small-cnn", width: float = 0.25) -> nn.Module:
    torch.manual_seed(0)
    return ns.zoo.build(name, classes=3, input_shape=(3, 8, 8), width=width).eval()


def job_of(model, options=None, *, budget="macs=0.5", epochs=4, asked=None, **task):
    noise = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(64, 3, 8, 8, generator=noise), torch.randint(3, (64,), generator=noise))

    def note(model, **settings):
        asked.append((model, settings))

    def train(model, *, data=data, stage, **settings):
        return fit(model, data, batch_size=16, progress=False, **settings)

    return Job(
        model=model,
        inputs=X,
        task=Task(name="toy", train=data, test=data, classes=3, input_shape=(3, 8, 8), **task),
        budget=ns.Budget.parse(budget),
        epochs=epochs,
        seed=0,
        fit=train if asked is None else note,
        options=options or {},
    )


def test_it_searches_on_halves_then_trains_what_was_found_with_the_dense_network_as_teacher():
    asked = []
    dense = network()
    job = job_of(dense, {"search": 0.6, "temperature": 2.0, "share": 0.7}, epochs=5, asked=asked)
    small = tas(job)
    (search, first), (trained, second) = asked
    assert isinstance(search, TransformableSearch)
    assert isinstance(first["data"], Paired)
    held = {id(p) for group in first["optimizer"].param_groups for p in group["params"]}
    assert held == {id(p) for p in search.network.parameters()}
    assert trained is small
    assert (first["epochs"], second["epochs"]) == (3, 2)
    assert (first["stage"], second["stage"]) == ("search", "transfer")
    loss = second["loss"]
    assert isinstance(loss, Distillation)
    assert (loss.temperature, loss.share) == (2.0, 0.7)
    assert torch.equal(loss.teacher(X), dense(X))
    macs = [ns.profile(model, X).total["macs"] for model in (dense, small)]
    assert macs[1] <= 0.5 * macs[0]
    assert job.notes["architecture"]["cost"]["macs"] == macs[1]
    assert ns.records(small)


def test_from_scratch_nothing_that_was_learned_is_kept_and_from_trained_the_largest_weights_are():
    dense = network()
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.add_(100.0)
        dense.conv1.weight[::2] += 100.0
    asked = []
    assert float(tas(job_of(dense, asked=asked)).conv1.weight.detach().abs().max()) < 10
    assert float(next(asked[0][0].network.parameters()).detach().abs().max()) < 10
    small = tas(job_of(dense, {"start": "trained"}, asked=asked))
    kept = small.conv1.weight.amin((1, 2, 3)) > 150
    assert int(kept.sum()) == min(len(kept), 4)


def test_a_whole_run_trains_and_learns_depth():
    job = job_of(network("resnet20"), {"structure_rate": 0.05}, budget="macs=0.4")
    small = tas(job)
    assert set(job.notes["architecture"]["depths"]) == {"stage1.0", "stage2.1", "stage3.1"}
    assert ns.profile(small, X).total["macs"] <= 0.4 * ns.profile(job.model, X).total["macs"]
    assert small.eval()(X).isfinite().all()


def test_narrower_ratios_join_where_the_budget_needs_them():
    asked = []
    small = tas(job_of(network(), budget="macs=0.06", asked=asked))
    assert ns.profile(small, X).total["macs"] <= 0.06 * ns.profile(network(), X).total["macs"]
    widths = asked[0][0].space.sizes.widths["conv3.weight:0"]
    assert widths[0] < 0.3 * 16 <= widths[-1] == 16


def test_augmentation_changes_both_halves():
    asked = []
    tas(job_of(network(), asked=asked, augment=lambda images, noise: images + 1))
    both = asked[0][1]["augment"]((torch.zeros(2), torch.ones(2)), torch.Generator())
    assert [one.tolist() for one in both] == [[1.0, 1.0], [2.0, 2.0]]


def test_mistakes():
    for options, error, match in [
        ({"search": 1.5}, BudgetError, r"search=1\.5 must be a share"),
        ({"start": "scrath"}, NetsmithError, "did you mean scratch"),
        ({"smallest": 0.0}, NetsmithError, r"smallest=0\.0 must be a share"),
        ({"samples": 99}, NetsmithError, "samples=99: expected 1 to"),
    ]:
        asked = []
        with pytest.raises(error, match=match):
            tas(job_of(network(), options, asked=asked))
        assert asked == []
    with pytest.raises(BudgetError, match="the expected cost is known of"):
        tas(job_of(network(), budget="latency=0.5", asked=[]))
    with pytest.raises(NetsmithError, match="data set 'toy' is one graph"):
        tas(job_of(network(), asked=[], kind="nodes"))
