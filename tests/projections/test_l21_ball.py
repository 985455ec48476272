from __future__ import annotations

import projection_oracles as oracles
import pytest
import torch

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.projections import L21Ball, l21_ball


@pytest.mark.parametrize("radius", [0.1, 1.0, 7.5])
def test_equals_bisection_on_the_multiplier(radius: float) -> None:
    matrices = oracles.inputs(1000, 5, 7, seed=1)
    got = l21_ball(matrices, radius, dim=2, batch_dims=1)
    torch.testing.assert_close(got, oracles.l21(matrices, radius), rtol=0, atol=1e-9)


def test_variational_inequality_with_random_feasible_points() -> None:
    generator = torch.Generator().manual_seed(2)
    for matrix in oracles.inputs(20, 6, 8, seed=2):
        draws = torch.randn(1000, 6, 8, generator=generator, dtype=torch.float64)
        draws[500:] *= torch.rand(500, 1, 8, generator=generator) < 0.2
        norms = draws.norm(dim=1).sum(-1).clamp_min(1e-9)
        scale = torch.rand(1000, generator=generator, dtype=torch.float64)
        feasible = draws * (2 * scale / norms)[:, None, None]
        assert oracles.worst_variational(matrix, l21_ball(matrix, 2.0, dim=1), feasible) < 1e-12


def test_lands_on_the_sphere_from_outside_and_is_the_identity_inside() -> None:
    matrices = oracles.inputs(300, 5, 7, seed=3)
    outside = matrices[matrices.norm(dim=1).sum(-1) > 2]
    norms = l21_ball(outside, 2.0, dim=-1, batch_dims=1).norm(dim=1).sum(-1)
    assert float((norms - 2).abs().max()) < 2e-12
    assert torch.equal(l21_ball(matrices, 1e9, dim=-1, batch_dims=1), matrices)


def test_columns_are_scaled_by_their_l2_norms_not_their_l1_sums() -> None:
    matrix = torch.tensor([[3.0, 1.0], [4.0, 0.0]], dtype=torch.float64)
    expected = matrix * torch.tensor([4.5 / 5, 0.5 / 1], dtype=torch.float64)
    torch.testing.assert_close(l21_ball(matrix, 5.0, dim=1), expected, rtol=1e-15, atol=0)


def test_ties_zeros_and_radius_zero() -> None:
    tied = torch.ones(4, 3, dtype=torch.float64)
    torch.testing.assert_close(l21_ball(tied, 3.0, dim=1), tied / 2, rtol=1e-15, atol=0)
    assert torch.equal(l21_ball(torch.zeros(2, 2), 1.0, dim=0), torch.zeros(2, 2))
    assert torch.equal(l21_ball(-tied, 0.0, dim=0), torch.zeros_like(tied))


def test_axis_names_the_side_of_a_linear_weight() -> None:
    weight = torch.nn.Linear(3, 2).weight.detach()
    weight.copy_(torch.tensor([[9.0, 0.1, 0.1], [0.2, 0.1, 0.1]]))
    assert L21Ball(1.0, axis="in")(weight).count_nonzero(0).tolist() == [2, 0, 0]
    assert L21Ball(1.0, axis="out")(weight).count_nonzero(1).tolist() == [3, 0]


def test_convolution_groups_are_channels_by_default() -> None:
    weight = oracles.inputs(1, 6, 4, 3, 3, seed=4)[0]
    by_input = L21Ball(0.3 * float(L21Ball(1.0).norm(weight)))(weight)
    expected = l21_ball(weight.transpose(1, 3).reshape(-1, 4), 0.3 * float(L21Ball(1.0).norm(weight)), dim=1)
    torch.testing.assert_close(by_input.transpose(1, 3).reshape(-1, 4), expected)
    by_filter = L21Ball(2.0, axis="out")(weight)
    torch.testing.assert_close(by_filter.flatten(1), l21_ball(weight.flatten(1), 2.0, dim=0))


def test_batched_equals_loop() -> None:
    matrices = oracles.inputs(8, 5, 7, seed=5)
    batched = l21_ball(matrices, 1.0, dim=1, batch_dims=1)
    for matrix, got in zip(matrices, batched, strict=True):
        torch.testing.assert_close(got, l21_ball(matrix, 1.0, dim=0), rtol=1e-12, atol=1e-13)


def test_gradient_through_the_projection() -> None:
    matrices = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    matrices[:, :, 2] = 0
    function = lambda x: l21_ball(x, 1.5, dim=2, batch_dims=1)  # noqa: E731
    assert torch.isfinite(torch.func.vjp(function, matrices)[1](torch.ones_like(matrices))[0]).all()
    assert torch.autograd.gradcheck(function, (matrices + 0.05).requires_grad_())


@pytest.mark.parametrize("axis", ["in", "out"])
def test_linear_twin_is_the_best_of_many_feasible_points(axis: str) -> None:
    generator = torch.Generator().manual_seed(7)
    gradient = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    ball = L21Ball(2.0, axis=axis)
    vertex = ball.minimise_linear(gradient)
    assert float(ball.norm(vertex)) == pytest.approx(2.0)
    draws = torch.randn(1000, 4, 5, generator=generator, dtype=torch.float64)
    norms = L21Ball(2.0, axis=axis, batch_dims=1).norm(draws)
    values = (draws * gradient).flatten(1).sum(1) * 2.0 / norms
    assert float((vertex * gradient).sum()) <= float(values.min())
    assert torch.equal(ball.minimise_linear(torch.zeros(2, 2)), torch.zeros(2, 2))


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="unknown axis 'output'; did you mean out"):
        L21Ball(1.0, axis="output")
    with pytest.raises(UnknownNameError, match="unknown fold 'ful'; did you mean full"):
        L21Ball(1.0, fold="ful")
    with pytest.raises(NetsmithError, match=r"fold 'channel' does not fit a weight of shape \(3,\)"):
        L21Ball(1.0)(torch.ones(3))
    with pytest.raises(NetsmithError, match=r"dim is 0 for shape \(2, 3\) with 1 batch dimensions"):
        l21_ball(torch.ones(2, 3), 1.0, dim=0, batch_dims=1)
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        l21_ball(torch.full((2, 2), float("nan")), 1.0, dim=0)
