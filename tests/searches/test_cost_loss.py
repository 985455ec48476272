from __future__ import annotations

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import BudgetError
from netsmith.searches import ExpectedCost, Sizes, cost_loss
from netsmith.searches.cost_loss import limits_of

NET = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
GRAPH = ns.trace(NET, torch.zeros(1, 4))
(NAME,) = (group.name for group in GRAPH.groups)


@pytest.mark.parametrize(("actual", "sign"), [(1.01, 1.0), (1.0, 0.0), (0.95, 0.0), (0.94, -1.0)])
def test_each_branch_has_the_gradient_of_a_difference_quotient(actual, sign):
    expected = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    loss = cost_loss(expected, actual, 1.0, 0.05)
    (gradient,) = torch.autograd.grad(loss, expected)
    step = 1e-6
    quotient = (cost_loss(expected + step, actual, 1.0) - cost_loss(expected - step, actual, 1.0)) / (
        2 * step
    )
    assert float(gradient) == pytest.approx(float(quotient.detach()), abs=1e-8) == pytest.approx(sign / 3)
    assert float(loss.detach()) == pytest.approx(sign * float(torch.tensor(3.0).log()))


def test_limits_are_shares_of_what_the_network_costs():
    expected = ExpectedCost(GRAPH, Sizes({NAME: (2, 8)}), ["macs", "params"])
    assert limits_of(GRAPH, ns.Budget(macs=0.5, params=40), expected) == {"macs": 28.0, "params": 40.0}


def test_a_budget_below_the_smallest_network_says_what_that_is():
    expected = ExpectedCost(GRAPH, Sizes({NAME: (4, 8)}), ["macs"])
    with pytest.raises(BudgetError, match=r"28 .*smallest network of this search has 28|a share of 0\.5"):
        limits_of(GRAPH, ns.Budget(macs=0.4), expected)
