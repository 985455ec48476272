from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.scores.masked_reads import masked_reads, one_less
from netsmith.scores.taylor import taylor, taylor_elements


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(16, 3)
    ).double()


X = torch.randn(4, 2, 6, 6, dtype=torch.float64)


def loss(model: nn.Module) -> Tensor:
    return model(X).sum()


def test_it_is_exact_for_readers_in_which_the_loss_is_linear() -> None:
    """Everything after the last group is linear: the first-order change is the whole change."""
    model = network().eval()
    graph, before = ns.trace(model, X), loss(model)
    found = taylor(model, loss, graph)
    for group in graph.groups:
        for channel in range(group.size):
            removed = torch.func.functional_call(
                model, masked_reads(model, group, one_less(group, channel)), (X,)
            ).sum()
            gap = float((removed - before).detach().abs())
            assert found[group.name][channel] == pytest.approx(gap, rel=1e-9)


def test_elements_are_the_slope_by_each_weight() -> None:
    model, (row, column, step) = network().eval(), (2, 3, 1e-6)
    found = taylor_elements(model, loss)["5.weight"][row, column]
    before = loss(model)
    with torch.no_grad():
        model[5].weight[row, column] *= 1 - step
    assert found == pytest.approx(float((loss(model) - before).detach().abs()) / step, rel=1e-6)


def test_a_channel_nobody_reads_scores_zero() -> None:
    model = network()
    with torch.no_grad():
        model[3].weight[:, 2] = 0
    scores = taylor(model, loss, ns.trace(model, X))["0.weight:0"]
    assert scores[2] == 0
    assert (scores > 0).sum() == 5
