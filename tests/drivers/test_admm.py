from __future__ import annotations

import copy

import pytest
import torch
from driver_models import LeastSquares, loss, network

from netsmith.drivers import ADMM
from netsmith.errors import NetsmithError
from netsmith.projections import L1Ball, L11Ball, L21Ball


def solve(model: LeastSquares, admm: ADMM, iterations: int) -> None:
    """The first ADMM step solved exactly by Newton's method, as the problem is quadratic."""
    curvature = model.design.T @ model.design + admm.strength * torch.eye(5, dtype=torch.float64)
    for _ in range(iterations):
        (gradient,) = torch.autograd.grad(model() + admm(model), model.weight)
        with torch.no_grad():
            model.weight -= torch.linalg.solve(curvature, gradient)
        admm.update(model)


def test_converges_to_the_constrained_minimum() -> None:
    model, ball = LeastSquares(), L1Ball(0.5)
    admm = ADMM(model, ball, strength=20.0)
    solve(model, admm, 300)
    assert admm.gap(model) < 1e-8
    weight = model.weight.detach()
    again = ball(weight - 0.1 * (model.design.T @ (model.design @ weight - model.target)))
    torch.testing.assert_close(again, weight, rtol=0, atol=1e-7)


def test_penalty_is_its_formula_and_carries_a_gradient() -> None:
    model = network()
    admm = ADMM(model, L21Ball(1.0), select="0", strength=0.5)
    distance = (model[0].weight - L21Ball(1.0)(model[0].weight)).square().sum()
    torch.testing.assert_close(admm(model), 0.25 * distance)
    admm(model).backward()
    assert model[0].weight.grad is not None
    assert model[3].weight.grad is None
    assert not list(admm.parameters())


def train(model: torch.nn.Module, admm: ADMM, optimizer: torch.optim.Optimizer, epochs: int) -> None:
    for _ in range(epochs):
        for _ in range(10):
            optimizer.zero_grad()
            (loss(model) + admm(model)).backward()
            optimizer.step()
        admm.update(model)


def test_a_network_is_pulled_into_the_set() -> None:
    model = network()
    start, admm = loss(model).item(), ADMM(model, L11Ball(4.0), strength=2.0)
    assert admm.gap(model) > 0.4
    for rate in (0.02, 0.002):  # at one rate Adam's last steps alone are as long as the gap asked for
        train(model, admm, torch.optim.Adam(model.parameters(), lr=rate), 40)
    assert admm.gap(model) < 0.02
    assert loss(model).item() < start


def test_resume_is_bit_exact() -> None:
    """Train 4 = train 2 + save + load + train 2."""

    def fresh() -> tuple[torch.nn.Module, ADMM, torch.optim.Optimizer]:
        model = network()
        return model, ADMM(model, L1Ball(1.0), strength=0.1), torch.optim.Adam(model.parameters(), lr=0.02)

    whole = fresh()
    train(*whole, 4)
    first = fresh()
    train(*first, 2)
    states = copy.deepcopy([part.state_dict() for part in first])
    second = fresh()
    for part, state in zip(second, states, strict=True):
        part.load_state_dict(state)
    train(*second, 2)
    for name, value in whole[0].state_dict().items():
        assert torch.equal(value, second[0].state_dict()[name])
    assert all(torch.equal(v, second[1].state_dict()[k]) for k, v in whole[1].state_dict().items())


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), float("inf")])
def test_strength_out_of_range(strength: float) -> None:
    with pytest.raises(NetsmithError, match=r"strength is .*, expected a finite number > 0"):
        ADMM(network(), L1Ball(1.0), strength=strength)
