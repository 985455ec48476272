"""``ns.grow``: the best channels first, to the budget, the output unchanged."""

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.cost import Cost
from netsmith.errors import BudgetError, EditError

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    ).eval()  # fmt: skip


def cost(model):
    return Cost(ns.trace(model, X)).total()


@pytest.mark.parametrize(
    "budget", [{"macs": 1.5}, {"params": 2.2}, {"bytes": "20kB"}, {"macs": 9.0}, {"macs": 1.7, "params": 1.4}]
)
def test_the_budget_is_used_up_to_one_split(budget):
    model = make()
    wider = ns.grow(model, X, budget=ns.Budget(**budget))
    now, then = cost(model), cost(wider)
    limits = {kind: a * now[kind] if not isinstance(a, str) else 20_000 for kind, a in budget.items()}
    assert all(then[kind] <= limit for kind, limit in limits.items())
    shortfall = min((limit - then[kind]) / now[kind] for kind, limit in limits.items())
    assert shortfall < 0.6 * max(1, then["macs"] / now["macs"] / 4)
    with torch.no_grad():
        torch.testing.assert_close(wider(X), model(X), rtol=1e-5, atol=1e-6)


def test_the_highest_scores_are_split_first():
    model = make()
    scores = {"0.weight:0": torch.arange(8.0), "3.weight:0": torch.full((6,), -1.0)}
    wider = ns.grow(model, X, budget=ns.Budget(macs=1.3), score=scores)
    (record,) = ns.records(wider)
    assert set(record["groups"]) == {"0.weight:0"}
    chosen = [int(channel) for channel in record["groups"]["0.weight:0"]]
    assert chosen == list(range(8 - len(chosen), 8))
    assert len(chosen) == 2


def test_channels_that_a_layer_norm_goes_over_stay():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2))
    wider = ns.grow(model, torch.randn(3, 4), budget=ns.Budget(params=1.5))
    assert wider[0].out_features == 8
    assert wider[2].out_features > 8


def test_in_place_and_protected():
    model = make()
    weight = model[0].weight
    same = ns.grow(model, X, budget=ns.Budget(macs=1.5), protect="7", inplace=True)
    assert same is model
    assert model[0].weight is weight
    assert weight.shape[0] == model[0].out_channels == 12
    assert model[3].out_channels == 6


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"macs": 0.5}, "below the present"),
        ({"macs": 1.0001}, "no split fits"),
        ({"bytes": "10B"}, "below the present"),
    ],
)
def test_budgets_that_leave_no_room(budget, message):
    model = make()
    with pytest.raises(BudgetError, match=message):
        ns.grow(model, X, budget=ns.Budget(**budget))
    assert model[0].out_channels == 8


def test_nothing_to_grow():
    with pytest.raises(EditError, match="nothing to grow"):
        ns.grow(make(), X, budget=ns.Budget(macs=2.0), protect="*")
