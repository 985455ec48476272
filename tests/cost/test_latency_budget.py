"""Shrinking to a latency budget, with a table whose times are known."""

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import SpeedWarning


class Staircase:
    """Seconds that go up with every block of 16 output channels; nothing is measured."""

    def __init__(self, free=0.0):
        self.free = free

    def __call__(self, graph, operation, keep=None):
        widths = graph.widths(operation, keep)
        return 0.0 if "out" not in widths else -(-widths["out"] // 16) * widths["in"] * 1e-6

    def constant(self, graph):
        return self.free


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))


def seconds(network, table):
    graph = ns.trace(network, X)
    return table.constant(graph) + sum(table(graph, operation) for operation in graph.operations)


X = torch.zeros(1, 8)


@pytest.mark.parametrize("free", [0.0, 50e-6])
def test_latency_budget_holds_with_the_constant_in_it(free):
    table = Staircase(free)
    dense = seconds(model(), table)
    small = ns.shrink(model(), X, budget=ns.Budget(latency=0.5), latency=table, round_to=8)
    assert 0.3 * dense < seconds(small, table) <= 0.5 * dense


def test_latency_in_milliseconds():
    table = Staircase()
    small = ns.shrink(model(), X, budget=ns.Budget(latency="0.1ms"), latency=table, round_to=4)
    assert seconds(small, table) <= 1e-4


def test_unreachable_latency_says_what_can_be_reached():
    with pytest.raises(ns.cost.budget.BudgetError, match=r"latency=0\.5 cannot be reached"):
        ns.shrink(model(), X, budget=ns.Budget(latency=0.5), latency=Staircase(free=1.0), round_to=8)


def test_macs_that_fall_without_time_are_warned_of(monkeypatch):
    class Flat(Staircase):
        def __call__(self, graph, operation, keep=None):
            return 1e-6 if operation.scale else 0.0

    monkeypatch.setattr(
        "netsmith.cutting.shrink.liked_multiples", lambda graph, _: {g.name: 8 for g in graph.groups}
    )
    with pytest.warns(SpeedWarning, match="MACs fall to"):
        ns.shrink(model(), X, budget=ns.Budget(macs=0.3), latency=Flat(), round_to="auto")
