from __future__ import annotations

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.scores.synflow import SynFlow, synflow_elements


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 6, 3, bias=False, groups=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(24, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False),
    )  # fmt: skip


X = torch.randn(1, 2, 6, 6)


def test_every_layer_has_the_same_sum() -> None:
    sums = [float(score.sum()) for score in synflow_elements(network(), X).values()]
    assert len(sums) == 4
    assert sums == pytest.approx([sums[0]] * 4, rel=1e-12)


def test_what_flows_into_a_hidden_unit_flows_out_of_it() -> None:
    found = synflow_elements(network(), X)
    torch.testing.assert_close(found["5.weight"].sum(1), found["7.weight"].sum(0))


def test_known_values() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-2.0, 3.0]]))
        model[1].weight.fill_(-4.0)
    found = synflow_elements(model, torch.zeros(1, 2))
    assert found["0.weight"].tolist() == [[8.0, 12.0]]
    assert found["1.weight"].tolist() == [[20.0]]


def test_neither_data_nor_signs_count() -> None:
    model, graph = network(), ns.trace(network(), X)
    one = SynFlow(X)(model, None, graph)
    with torch.no_grad():
        model[0].weight.neg_()
    other = SynFlow(3 * X)(model, None, graph)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_token_numbers_stay() -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    found = synflow_elements(model, torch.tensor([[3, 3]]))
    assert found["0.weight"][3].all()
    assert not found["0.weight"][:3].any()
