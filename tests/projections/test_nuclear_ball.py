from __future__ import annotations

import projection_oracles as oracles
import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.projections import NuclearBall, nuclear_ball


@pytest.mark.parametrize("radius", [0.1, 1.0, 7.5])
def test_equals_bisection_on_the_multiplier(radius: float) -> None:
    matrices = oracles.inputs(1000, 5, 4, seed=1)
    got = nuclear_ball(matrices, radius, batch_dims=1)
    torch.testing.assert_close(got, oracles.nuclear(matrices, radius), rtol=0, atol=1e-9)


def test_variational_inequality_with_random_feasible_points() -> None:
    generator = torch.Generator().manual_seed(2)
    for matrix in oracles.inputs(10, 6, 5, seed=2):
        draws = torch.randn(1000, 6, 5, generator=generator, dtype=torch.float64)
        draws[500:] = draws[500:, :, :1] @ draws[500:, :1, :]
        norms = torch.linalg.svdvals(draws).sum(-1)
        feasible = (
            draws * (2 * torch.rand(1000, generator=generator, dtype=torch.float64) / norms)[:, None, None]
        )
        assert oracles.worst_variational(matrix, nuclear_ball(matrix, 2.0), feasible) < 1e-10


def test_lands_on_the_sphere_from_outside_and_is_the_identity_inside() -> None:
    matrices = oracles.inputs(100, 6, 5, seed=3)
    norms = torch.linalg.svdvals(
        nuclear_ball(matrices[torch.linalg.svdvals(matrices).sum(-1) > 2], 2.0, batch_dims=1)
    )
    assert float((norms.sum(-1) - 2).abs().max()) < 1e-11
    assert torch.equal(nuclear_ball(matrices, 1e9, batch_dims=1), matrices)


def test_singular_values_are_thresholded_and_the_rank_falls() -> None:
    generator = torch.Generator().manual_seed(4)
    left, right = (
        torch.linalg.qr(torch.randn(6, 3, generator=generator, dtype=torch.float64))[0] for _ in range(2)
    )
    matrix = left @ torch.diag(torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)) @ right.T
    values = torch.linalg.svdvals(nuclear_ball(matrix, 4.0))
    torch.testing.assert_close(values[:2], torch.tensor([3.0, 1.0], dtype=torch.float64))
    assert float(values[2:].max()) < 1e-14


def test_ties_zeros_and_radius_zero() -> None:
    identity = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(nuclear_ball(identity, 1.0), identity / 4, rtol=0, atol=1e-15)
    assert torch.equal(nuclear_ball(torch.zeros(3, 2), 1.0), torch.zeros(3, 2))
    assert torch.equal(nuclear_ball(-identity, 0.0), torch.zeros_like(identity))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_rounding_to_a_short_dtype_stays_in_the_ball(dtype: torch.dtype) -> None:
    matrix = torch.randn(60, 40, generator=torch.Generator().manual_seed(5)).to(dtype)
    result = nuclear_ball(matrix, 30.0)
    norm = float(torch.linalg.svdvals(result.double()).sum())
    assert 30 * (1 - 20 * torch.finfo(dtype).eps) < norm <= 30
    assert torch.equal(nuclear_ball(result, 30.0), result)


def test_kernels_are_projected_as_folded_matrices() -> None:
    kernel = oracles.inputs(1, 4, 3, 2, 2, seed=6)[0]
    full = NuclearBall(1.0)(kernel)
    torch.testing.assert_close(full.flatten(1), nuclear_ball(kernel.flatten(1), 1.0))
    filters = NuclearBall(1.0, fold="filter")(kernel)
    for got, one in zip(filters, kernel, strict=True):
        torch.testing.assert_close(got.flatten(1), nuclear_ball(one.flatten(1), 1.0))
    assert NuclearBall(1.0, fold="filter").norm(kernel).shape == (4,)


def test_gradient_through_the_decomposition() -> None:
    matrices = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    function = lambda x: nuclear_ball(x, 1.5, batch_dims=1)  # noqa: E731
    assert torch.autograd.gradcheck(function, matrices.requires_grad_())


def test_linear_twin_is_rank_one_and_best() -> None:
    gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    vertex = NuclearBall(3.0).minimise_linear(gradient)
    assert int(torch.linalg.matrix_rank(vertex)) == 1
    torch.testing.assert_close((vertex * gradient).sum(), -3.0 * torch.linalg.matrix_norm(gradient, 2))


def test_mistakes() -> None:
    for call in (NuclearBall(1.0), lambda t: nuclear_ball(t, 1.0)):
        with pytest.raises(NetsmithError, match=r"a nuclear norm needs a matrix, got shape \(3,\)"):
            call(torch.ones(3))
    with pytest.raises(NetsmithError, match=r"a nuclear norm needs a matrix, got shape \(2, 2, 2\)"):
        nuclear_ball(torch.ones(2, 2, 2), 1.0)
    with pytest.raises(NetsmithError, match="fold 'channel' gives no matrix"):
        NuclearBall(1.0, fold="channel")
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        nuclear_ball(torch.full((2, 2), float("nan")), 1.0)


def test_a_radius_below_the_smallest_normal_number_holds() -> None:
    tensor = torch.zeros(5, 4, dtype=torch.float16)
    tensor[0, 0], tensor[0, 3], tensor[2, 2], tensor[2, 3], tensor[4, 0] = 301, 7156, 1642, 3772, 1466
    ball = NuclearBall(1e-6)
    once = ball(tensor)
    assert ball.norm(once) <= 1e-6
    assert torch.equal(ball(once), once)
