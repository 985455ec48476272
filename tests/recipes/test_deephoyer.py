from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.clock import Clock
from netsmith.errors import NetsmithError
from netsmith.penalties import GroupHoyerSquare
from netsmith.recipes.deephoyer import deephoyer, staying, trimming
from netsmith.recipes.job import Job
from netsmith.recipes.strength_ramp import StrengthRamp


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3),
            nn.Flatten(),
            nn.Linear(192, 4),
        )


def job(model: nn.Module, calls: list[dict], **options: object) -> Job:
    def fit(model, *, epochs, stage, penalty=None, learning_rate=None, after_step=None, schedule="cosine"):
        calls.append(
            {"stage": stage, "epochs": epochs, "penalised": penalty is not None, "rate": learning_rate}
        )
        if penalty is None:
            return SimpleNamespace(epochs=[])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for step in range(epochs):
            optimizer.zero_grad()
            (penalty(model) / penalty.strength).backward()
            optimizer.step()
            if after_step is not None:
                after_step(model, Clock(step + 1, 1, epochs))
        return SimpleNamespace(epochs=[])

    return Job(
        model=model,
        inputs=torch.zeros(2, 1, 8, 8),
        task=None,
        budget=ns.Budget(macs=0.5),
        epochs=40,
        seed=0,
        fit=fit,
        options=options,
    )


def test_scores_are_the_norm_over_the_trimming_threshold():
    model = network()
    graph = ns.trace(model, torch.zeros(2, 1, 8, 8))
    first, second = model[0].weight.detach().double(), model[3].weight.detach().double()
    norms = (first.square().sum((1, 2, 3)) + second.square().sum((0, 2, 3))).sqrt()
    expected = norms * norms.sum() / norms.square().sum()
    torch.testing.assert_close(trimming(model, None, graph)["0.weight:0"], expected, rtol=1e-5, atol=0)


def test_scores_do_not_change_with_the_scale_of_a_group_and_survive_a_dead_one():
    model = network()
    graph = ns.trace(model, torch.zeros(2, 1, 8, 8))
    before = trimming(model, None, graph)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100)
    for name, score in trimming(model, None, graph).items():
        torch.testing.assert_close(score, before[name], rtol=1e-5, atol=0)
    with torch.no_grad():
        model[0].weight.zero_()
        model[3].weight.zero_()
    assert trimming(model, None, graph)["0.weight:0"].tolist() == [1.0] * 8


def test_sparse_training_then_cut_then_fine_tuning():
    calls: list[dict] = []
    model = network()
    one = job(model, calls, sparse=0.75, finetune_rate=0.01)
    dense = ns.profile(copy.deepcopy(model), one.inputs)
    small = deephoyer(one)
    assert [(c["stage"], c["epochs"], c["penalised"], c["rate"]) for c in calls] == [
        ("sparse", 30, True, None),
        ("finetune", 10, False, 0.01),
    ]
    assert ns.profile(small, one.inputs).total["macs"] <= 0.5 * dense.total["macs"]
    assert one.notes["deephoyer"]["sparse_epochs"] == 30
    assert one.notes["deephoyer"]["strength_at_the_end"] != 1e-3


def test_strength_stays_when_told():
    one = job(network(), [], adapt=False, strength=0.5)
    deephoyer(one)
    assert one.notes["deephoyer"]["strength_at_the_end"] == 0.5


def test_ramp_pushes_while_the_cost_is_above_the_target_and_lets_go_below():
    model = network()
    x = torch.zeros(2, 1, 8, 8)
    graph = ns.trace(model, x)
    penalty = GroupHoyerSquare(graph, strength=1.0)
    ramp = StrengthRamp(penalty, graph, ns.Budget(macs=0.5), staying(graph))
    assert ramp.excess(model) == pytest.approx(2.0)
    ramp(model, Clock(0, 1, 100))
    assert penalty.strength == 1.0  # no check is due yet
    ramp(model, Clock(90, 1, 100))
    assert penalty.strength == pytest.approx(StrengthRamp.UP)
    with torch.no_grad():
        model[0].weight[4:] = 0
        model[3].weight[:, 4:] = 0
        model[3].weight[6:] = 0
        model[5].weight[:, 96:] = 0
    assert ramp.excess(model) < 1
    ramp(model, Clock(91, 1, 100))
    assert penalty.strength == pytest.approx(StrengthRamp.UP)  # nor now
    ramp(model, Clock(95, 1, 100))
    assert penalty.strength == pytest.approx(StrengthRamp.UP * StrengthRamp.DOWN)
    other = GroupHoyerSquare(graph, strength=1.0)
    again = StrengthRamp(other, graph, ns.Budget(macs=0.5), staying(graph))
    again.load_state_dict(ramp.state_dict())
    assert again.state_dict() == ramp.state_dict()
    for step in range(96, 200):
        ramp(model, Clock(step, 1, 100))
    assert penalty.strength >= 0.01


def test_mistakes_are_named():
    with pytest.raises(NetsmithError, match=r"option sparse is 1\.5; expected the share of epochs"):
        deephoyer(job(network(), [], sparse=1.5))
    with pytest.raises(NetsmithError, match=r"strength is -1\.0"):
        deephoyer(job(network(), [], strength=-1.0))
    with pytest.raises(NetsmithError, match="did you mean strength"):
        deephoyer(job(network(), [], strenght=1.0))
