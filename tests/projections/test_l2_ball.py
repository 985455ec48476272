from __future__ import annotations

import projection_oracles as oracles
import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.projections import L2Ball, l2_ball


def test_scales_to_the_sphere_or_leaves_alone() -> None:
    rows = oracles.inputs(300, 10, seed=1)
    got = l2_ball(rows, 2.0, batch_dims=1)
    norms = rows.norm(dim=1)
    outside = norms > 2
    assert torch.equal(got[~outside], rows[~outside])
    torch.testing.assert_close(got[outside], 2 * rows[outside] / norms[outside, None], rtol=1e-13, atol=0)


def test_zeros_and_radius_zero() -> None:
    assert torch.equal(l2_ball(torch.zeros(4), 1.0), torch.zeros(4))
    assert torch.equal(l2_ball(torch.tensor([-1.0, 2.0]), 0.0), torch.zeros(2))


def test_variational_inequality_with_random_feasible_points() -> None:
    generator = torch.Generator().manual_seed(2)
    row = 10 * torch.randn(20, generator=generator, dtype=torch.float64)
    draws = torch.randn(1000, 20, generator=generator, dtype=torch.float64)
    feasible = draws / draws.norm(dim=1, keepdim=True)
    assert oracles.worst_variational(row, l2_ball(row, 1.0), feasible) < 1e-12


def test_gradient_inside_and_outside() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.1, 0.2], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: l2_ball(x, 1.0, batch_dims=1), rows)


def test_linear_twin() -> None:
    ball = L2Ball(3.0)
    torch.testing.assert_close(ball.minimise_linear(torch.tensor([3.0, -4.0])), torch.tensor([-1.8, 2.4]))
    assert torch.equal(ball.minimise_linear(torch.zeros(2)), torch.zeros(2))
    assert float(ball.norm(torch.tensor([3.0, -4.0]))) == 5.0


def test_input_that_is_not_finite() -> None:
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        l2_ball(torch.tensor([1.0, float("nan")]), 1.0)
