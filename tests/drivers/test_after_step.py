from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from driver_models import LeastSquares, loss, network

from netsmith.drivers import AfterStep, project_
from netsmith.errors import NetsmithError, TrainingError, UnknownNameError
from netsmith.projections import L1Ball, L11Ball, NuclearBall


def test_holds_after_every_step_and_the_optimiser_keeps_its_references() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    before = [id(parameter) for parameter in model.parameters()]
    start, driver = loss(model).item(), AfterStep(L11Ball(4.0))
    for _ in range(60):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
        driver(model)
        assert all(float(model[i].weight.detach().double().abs().sum()) <= 4 + 1e-9 for i in (0, 3))
    assert [id(parameter) for parameter in model.parameters()] == before
    assert loss(model).item() < 0.95 * start
    assert int((model[0].weight == 0).sum()) > 0
    assert float(model[0].bias.detach().abs().sum()) > 0


def test_projected_gradient_reaches_the_constrained_minimum() -> None:
    """At the minimum W a gradient step and a projection give W again, for any step size."""
    model, ball = LeastSquares(), L1Ball(0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(800):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
        project_(model, ball)
    weight = model.weight.detach()
    again = ball(
        weight - 0.1 * torch.func.grad(lambda w: (model.design @ w - model.target).square().sum() / 2)(weight)
    )
    torch.testing.assert_close(again, weight, rtol=0, atol=1e-10)
    assert float(ball.norm(weight)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("unit", "clock", "projects"),
    [
        ("step", {"step": 6, "epoch": 1}, True),
        ("step", {"step": 7, "epoch": 3}, False),
        ("epoch", {"step": 7, "epoch": 3}, True),
        ("epoch", {"step": 6, "epoch": 1}, False),
    ],
)
def test_every_so_many_steps_or_epochs(unit: str, clock: dict[str, int], projects: bool) -> None:
    model = network()
    before = model[0].weight.detach().clone()
    AfterStep(L1Ball(0.1), every=3, unit=unit)(model, SimpleNamespace(**clock, progress=0.5))
    assert torch.equal(model[0].weight, before) != projects


def test_one_projection_per_name() -> None:
    model = network()
    AfterStep({"0": L1Ball(0.5), "3": NuclearBall(0.25)})(model)
    assert float(model[0].weight.detach().abs().sum()) == pytest.approx(0.5)
    assert float(torch.linalg.matrix_norm(model[3].weight.detach(), "nuc")) == pytest.approx(0.25, rel=1e-5)


def test_weight_that_is_not_finite_is_named_and_nothing_changes() -> None:
    model = network()
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    before = model[0].weight.detach().clone()
    with pytest.raises(TrainingError, match=r"3\.weight has NaN or infinite entries"):
        project_(model, L1Ball(0.1))
    assert torch.equal(model[0].weight, before)


def test_layer_that_becomes_all_zero_is_named() -> None:
    model = network()
    with pytest.warns(UserWarning, match=r"0\.weight became all zero"):
        project_(model, L1Ball(0.0), select="0")
    project_(model, L1Ball(0.0), select="0")


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="every is 0, expected a number >= 1"):
        AfterStep(L1Ball(1.0), every=0)
    with pytest.raises(UnknownNameError, match="unknown unit 'epochs'; did you mean epoch"):
        AfterStep(L1Ball(1.0), unit="epochs")
