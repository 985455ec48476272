from __future__ import annotations

import pytest
import torch
from driver_models import loss, network
from torch import nn
from torch.nn.utils import parametrize

from netsmith.drivers import StraightThrough, straight_through_
from netsmith.errors import NetsmithError
from netsmith.projections import L1Ball, L11Ball


def test_forward_is_projected_exactly_and_the_gradient_is_that_of_the_identity() -> None:
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ball = L1Ball(1.0)
    out = StraightThrough(ball)(weight)
    assert torch.equal(out, ball(weight.detach()))
    direction = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    out.backward(direction)
    assert torch.equal(weight.grad, direction)


def test_entries_come_back_and_training_with_the_projected_weight_works() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    original = model[0].weight
    straight_through_(model, L11Ball(3.0), select=["0", "3"])
    assert model[0].parametrizations.weight.original is original
    start, seen = loss(model).item(), []
    for _ in range(80):
        seen.append((model[0].weight != 0).flatten())
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
        assert float(L11Ball(3.0).norm(model[0].weight.detach())) <= 3 * (1 + 1e-9)
    alive = torch.stack(seen).int()
    assert (alive.diff(dim=0) > 0).any()
    assert loss(model).item() < 0.95 * start


def test_state_round_trip_and_making_it_permanent() -> None:
    model, again = straight_through_(network(), L1Ball(2.0)), straight_through_(network(5), L1Ball(2.0))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again[3].weight, model[3].weight)
    projected = model[3].weight.detach().clone()
    parametrize.remove_parametrizations(model[3], "weight", leave_parametrized=True)
    assert torch.equal(model[3].weight, projected)


def test_assigning_sets_the_unconstrained_weight() -> None:
    model = straight_through_(network(), L1Ball(1.0), select="0")
    model[0].weight = torch.ones(8, 6)
    assert torch.equal(model[0].parametrizations.weight.original, torch.ones(8, 6))
    assert model[0].weight.sum().item() == pytest.approx(1.0)


def test_shared_weight_is_refused_and_nothing_is_registered() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[1].weight
    with pytest.raises(NetsmithError, match=r"1\.weight is shared \(1\.weight and 2\.weight\)"):
        straight_through_(model, L1Ball(1.0))
    assert not any(parametrize.is_parametrized(module) for module in model)
