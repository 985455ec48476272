from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.scores.movement import movement, movement_elements

X = torch.randn(8, 5, dtype=torch.float64)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2)).double()


def loss(model: nn.Module) -> Tensor:
    return (model(X) - 1).square().sum()


def test_channels_score_half_the_growth_of_their_squared_norm_in_a_step() -> None:
    model, rate = network(), 1e-7
    found = movement(model, loss, ns.trace(model, X))["0.weight:0"]
    norms = [w.detach().square().sum(dim) for w, dim in ((model[0].weight, 1), (model[2].weight, 0))]
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    loss(model).backward()
    optimizer.step()
    grown = [w.detach().square().sum(dim) for w, dim in ((model[0].weight, 1), (model[2].weight, 0))]
    torch.testing.assert_close(found, (sum(grown) - sum(norms)) / (2 * rate), rtol=1e-4, atol=1e-6)


def test_weights_going_to_zero_score_below_those_leaving_it() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -1.0]]))
    found = movement_elements(model, lambda m: m(torch.ones(1, 2)).sum())["weight"]
    assert found.tolist() == [[-1.0, 1.0]]
    assert found.sum() == pytest.approx(0)
