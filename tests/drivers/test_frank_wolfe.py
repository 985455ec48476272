from __future__ import annotations

import pytest
import torch
from driver_models import LeastSquares

from netsmith.drivers import FrankWolfe
from netsmith.errors import NetsmithError
from netsmith.projections import L1Ball, L2Ball, L11Ball, L21Ball, NuclearBall


@pytest.mark.parametrize("ball", [L1Ball(0.5), L2Ball(0.5), L21Ball(0.5), L11Ball(0.5), NuclearBall(0.5)])
def test_stays_inside_and_reaches_the_minimum_over_the_ball(ball: L1Ball) -> None:
    """The Frank-Wolfe gap ``<gradient, W - V>`` bounds the distance to the best value in the ball."""
    model = LeastSquares()
    optimizer = FrankWolfe(model.parameters(), ball)
    for step in range(1500):
        optimizer.param_groups[0]["lr"] = 2 / (step + 2)
        optimizer.zero_grad()
        optimizer.step(lambda: _backward(model))
        assert float(ball.norm(model.weight.detach())) <= 0.5 * (1 + 1e-9)
    gradient = model.weight.grad
    gap = (gradient * (model.weight - ball.minimise_linear(gradient))).sum().item()
    assert gap < 0.01 * model().item()


def _backward(model: LeastSquares) -> torch.Tensor:
    value = model()
    value.backward()
    return value


def test_parameters_without_a_gradient_stay() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    FrankWolfe([parameter], L1Ball(1.0)).step()
    assert torch.equal(parameter, torch.ones(2, 2))


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match=r"lr is 1\.5, expected a share"):
        FrankWolfe([torch.nn.Parameter(torch.ones(2))], L1Ball(1.0), lr=1.5)
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, float("nan")])
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        FrankWolfe([parameter], L1Ball(1.0)).step()
