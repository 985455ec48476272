from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import BudgetError, NetsmithError
from netsmith.recipes import Job, gradual_magnitude, rigl
from netsmith.train import fit


def job(budget: ns.Budget, options: dict[str, Any] | None = None) -> Job:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 3))
    x = torch.randn(96, 6)
    data = torch.utils.data.TensorDataset(x, x[:, :3].argmax(1))

    def bound_fit(model: nn.Module, *, stage: str, **settings: Any) -> object:
        return fit(model, data, batch_size=16, progress=False, **settings)

    return Job(
        model=model, inputs=x[:1], task=None, budget=budget, epochs=4, seed=0, fit=bound_fit,
        options=options or {},
    )  # fmt: skip


@pytest.mark.parametrize("recipe", [gradual_magnitude, rigl])
@pytest.mark.parametrize("params", [0.5, 140])
def test_parameters_that_are_not_zero_meet_the_budget(recipe: Any, params: float) -> None:
    given = job(ns.Budget(params=params), {"every": 4})
    limit = 0.5 * 243 if params == 0.5 else 140
    model = recipe(given)
    nonzero = sum(int((p != 0).sum()) for p in model.parameters())
    assert nonzero <= limit
    assert nonzero >= limit - 5  # a bias may stay at zero
    (notes,) = given.notes.values()
    assert notes["nonzero_parameters"] == nonzero
    assert notes["parameters"] == 243
    assert [tuple(p.shape) for p in model.parameters()] == [(20, 6), (20,), (20,), (20,), (3, 20), (3,)]


@pytest.mark.parametrize("recipe", [gradual_magnitude, rigl])
def test_kinds_that_zeros_cannot_serve_are_refused(recipe: Any) -> None:
    with pytest.raises(BudgetError, match=r"in macs and latency; it serves params \(those that are not zero"):
        recipe(job(ns.Budget(macs=0.5, params=0.5, latency="1ms")))
    with pytest.raises(BudgetError, match="63 of 243 parameters are biases and norms"):
        recipe(job(ns.Budget(params=0.2)))


@pytest.mark.parametrize("method", ["gradual-magnitude", "rigl"])
def test_a_kind_that_cannot_be_served_is_known_before_training(method: str, tmp_path: Path) -> None:
    with pytest.raises(
        BudgetError, match=f"method '{method}' cannot serve a budget in macs; it serves params"
    ):
        ns.compress("small-cnn", "digits", method=method, budget="macs=0.5", out=tmp_path / "out")
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_options_out_of_range() -> None:
    with pytest.raises(NetsmithError, match="option ramp is 0"):
        gradual_magnitude(job(ns.Budget(params=0.5), {"ramp": 0.0}))
    with pytest.raises(NetsmithError, match="unknown growth 'best'"):
        rigl(job(ns.Budget(params=0.5), {"growth": "best"}))
