from __future__ import annotations

import numpy as np
import projection_oracles as oracles
import pytest
import torch
from scipy.optimize import minimize

from netsmith.errors import NetsmithError
from netsmith.projections import L1Ball, l1_ball


@pytest.mark.parametrize("radius", [0.1, 1.0, 7.5])
def test_equals_bisection_on_the_multiplier(radius: float) -> None:
    rows = oracles.inputs(1000, 30, seed=1)
    got = l1_ball(rows, radius, batch_dims=1)
    torch.testing.assert_close(got, oracles.l1(rows, radius), rtol=0, atol=1e-9)


def test_equals_a_general_purpose_solver() -> None:
    """SLSQP on ``x = p - q`` with ``p, q >= 0`` and ``Σ p + q <= radius``."""
    for row in oracles.inputs(10, 5, seed=2):
        target = row.numpy()

        def distance(split: np.ndarray, target: np.ndarray = target) -> float:
            return float(((split[:5] - split[5:] - target) ** 2).sum() / 2)

        room = {"type": "ineq", "fun": lambda split: 1.0 - split.sum()}
        found = minimize(distance, np.full(10, 0.05), bounds=[(0, None)] * 10, constraints=[room], tol=1e-14)
        solution = found.x[:5] - found.x[5:]
        assert np.abs(l1_ball(row, 1.0).numpy() - solution).max() < 1e-6


def test_variational_inequality_with_random_feasible_points() -> None:
    generator = torch.Generator().manual_seed(3)
    for row in oracles.inputs(20, 50, seed=3):
        draws = torch.randn(1000, 50, generator=generator, dtype=torch.float64)
        draws[500:] *= torch.rand(500, 50, generator=generator) < 0.05
        scale = torch.rand(1000, 1, generator=generator, dtype=torch.float64)
        feasible = 2.0 * scale * draws / draws.abs().sum(1, keepdim=True).clamp_min(1e-9)
        assert oracles.worst_variational(row, l1_ball(row, 2.0), feasible) < 1e-12


def test_lands_on_the_sphere_from_outside_and_is_the_identity_inside() -> None:
    rows = oracles.inputs(500, 40, seed=4)
    outside = rows[rows.abs().sum(1) > 3.0]
    norms = l1_ball(outside, 3.0, batch_dims=1).abs().sum(1)
    assert float((norms - 3.0).abs().max()) < 3e-12
    assert torch.equal(l1_ball(rows, 1e9, batch_dims=1), rows)


@pytest.mark.parametrize(
    ("given", "radius", "expected"),
    [
        ([0.0, 0.0, 0.0], 1.0, [0.0, 0.0, 0.0]),
        ([2.0, 2.0, 2.0, 2.0], 1.0, [0.25, 0.25, 0.25, 0.25]),
        ([1.0, -1.0, 0.0], 1.0, [0.5, -0.5, 0.0]),
        ([-5.0, 1.0], 2.0, [-2.0, 0.0]),
        ([-5.0, 1.0], 0.0, [0.0, 0.0]),
        ([0.25, -0.5], 0.75, [0.25, -0.5]),
        ([], 1.0, []),
    ],
    ids=["zeros", "ties", "tie with zero", "one survives", "radius 0", "on the sphere", "empty"],
)
def test_known_values(given: list[float], radius: float, expected: list[float]) -> None:
    result = l1_ball(torch.tensor(given, dtype=torch.float64), radius)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)
    assert not result[result == 0].signbit().any()


def test_tiny_radius_beside_large_equal_entries_keeps_its_digits() -> None:
    rows = 1 + 1e-9 * torch.rand(10_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert float(l1_ball(rows, 1e-6).sum()) == pytest.approx(1e-6, rel=1e-12)


def test_slowly_converging_input() -> None:
    """Entries that fall geometrically make the threshold move late: many Newton steps, the same answer."""
    rows = torch.logspace(0, -300, 3000, dtype=torch.float64).repeat(3, 1) * torch.tensor(
        [[1.0], [7.0], [1e5]]
    )
    for radius in (1e-3, 4.0, 1e4):
        got = l1_ball(rows, radius, batch_dims=1)
        torch.testing.assert_close(got, oracles.l1(rows, radius), rtol=0, atol=1e-10)
        torch.testing.assert_close(l1_ball(rows[1], radius), got[1], rtol=1e-12, atol=1e-12 * radius)


def test_float32_sum_over_many_entries_does_not_drift() -> None:
    values = torch.rand(2_000_000, generator=torch.Generator().manual_seed(6))
    norm = float(l1_ball(values, 1000.0).double().sum())
    assert 1000 * (1 - 1e-7) < norm <= 1000 * (1 + 1e-12)


def test_batched_equals_loop_over_a_transposed_view() -> None:
    tensor = oracles.inputs(6, 4, 5, seed=7).transpose(0, 1)
    batched = l1_ball(tensor, 1.5, batch_dims=2)
    for i in range(4):
        for j in range(6):
            torch.testing.assert_close(batched[i, j], l1_ball(tensor[i, j], 1.5), rtol=1e-12, atol=1e-13)


def test_gradient_through_the_projection() -> None:
    rows = oracles.inputs(4, 8, seed=0) + 0.01
    assert torch.autograd.gradcheck(lambda x: l1_ball(x, 1.0, batch_dims=1), rows.requires_grad_())
    single = torch.tensor([3.0, -2.0, 0.5], requires_grad=True)
    l1_ball(single, 2.0)[0].backward()
    torch.testing.assert_close(single.grad, torch.tensor([0.5, 0.5, 0.0]))


def test_vertex_minimises_over_all_vertices() -> None:
    gradient = oracles.inputs(50, 6, seed=8)
    vertex = L1Ball(2.0, batch_dims=1).minimise_linear(gradient)
    assert torch.equal((vertex != 0).sum(1), torch.ones(50, dtype=torch.int64))
    torch.testing.assert_close((gradient * vertex).sum(1), -2.0 * gradient.abs().amax(1))
    assert L1Ball(2.0).minimise_linear(torch.zeros(3)).tolist() == [-2.0, 0.0, 0.0]


@pytest.mark.parametrize("radius", [-1.0, float("nan"), float("inf")])
def test_radius_out_of_range(radius: float) -> None:
    with pytest.raises(NetsmithError, match=r"radius is .*, expected a finite number >= 0"):
        L1Ball(radius)
    with pytest.raises(NetsmithError, match=r"radius is .*, expected a finite number >= 0"):
        l1_ball(torch.ones(3), radius)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_input_that_is_not_finite(bad: float) -> None:
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        l1_ball(torch.tensor([1.0, bad]), 1.0)


def test_input_of_another_kind() -> None:
    with pytest.raises(NetsmithError, match=r"torch\.int64, expected float16"):
        l1_ball(torch.tensor([1, 2]), 1.0)
    with pytest.raises(NetsmithError, match="batch_dims is 2, expected 0 to 1"):
        l1_ball(torch.ones(3), 1.0, batch_dims=2)
