"""Budgets: units, shares, errors."""

import pytest

from netsmith.cost.budget import Budget
from netsmith.errors import BudgetError, UnknownNameError

NOW = {"macs": 1e7, "params": 1e6, "bytes": 4e6, "latency": 0.02, "energy": 0.01}


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("macs=0.3", {"macs": 3e6}),
        ("macs=30%", {"macs": 3e6}),
        ("macs=2M,bytes=200kB", {"macs": 2e6, "bytes": 2e5}),
        ("bytes=1KiB", {"bytes": 1024.0}),
        ("latency=5ms, params=250k", {"latency": 0.005, "params": 250e3}),
        ("energy=3mJ", {"energy": 0.003}),
        ("latency=0.5", {"latency": 0.01}),
        ("params=12345", {"params": 12345.0}),
        ("macs=1", {"macs": 1e7}),
    ],
)
def test_amounts(text, limits):
    assert Budget.parse(text).limits(NOW) == pytest.approx(limits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs=-0.3", "above zero"),
        ("macs=0", "above zero"),
        ("macs=nan", "above zero"),
        ("macs=150%", "above the model's present cost"),
        ("latency=5", "no unit"),
        ("bytes=5ms", "unit 'ms'"),
        ("macs=lots", "is not an amount"),
        ("macs", "write kind=amount"),
        ("macs=0.3,macs=0.2", "given twice"),
    ],
)
def test_amounts_that_make_no_sense(text, message):
    with pytest.raises(BudgetError, match=message):
        Budget.parse(text)


def test_unknown_kind_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean macs"):
        Budget.parse("mac=0.3")


def test_empty_budget_is_refused():
    with pytest.raises(BudgetError, match="at least one of"):
        Budget()


def test_all_limits_hold_together():
    budget = Budget(macs=0.5, bytes="1MB")
    assert budget.holds({"macs": 5e6, "bytes": 1e6}, NOW)
    assert not budget.holds({"macs": 5e6, "bytes": 1.1e6}, NOW)
