from __future__ import annotations

import projection_oracles as oracles
import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.projections import L1Ball, L11Ball, L21Ball, NuclearBall, l1_ball, l11_bilevel


@pytest.mark.parametrize("radius", [0.0, 0.5, 5.0, 1e6])
def test_equals_its_slow_definition(radius: float) -> None:
    for matrix in oracles.inputs(60, 5, 6, seed=1):
        got = l11_bilevel(matrix, radius, dim=1)
        torch.testing.assert_close(got, oracles.l11_slow(matrix, radius), rtol=0, atol=1e-12)


def uneven_matrix() -> torch.Tensor:
    """40 x 30 with column scales from 0.05 to 1.9, the kind of matrix that a trained layer is."""
    generator = torch.Generator().manual_seed(2)
    entries = torch.randn(40, 30, generator=generator, dtype=torch.float64)
    return entries * 0.2 * torch.randn(30, generator=generator, dtype=torch.float64).exp()


def test_character_beside_the_other_balls() -> None:
    """At the same radius: on the sphere, farther than the nearest point, more zero columns and entries."""
    matrix = uneven_matrix()
    structured, nearest = L11Ball(20.0)(matrix), L1Ball(20.0)(matrix)
    assert float(structured.abs().sum()) == pytest.approx(20, abs=1e-9)
    assert float((structured - matrix).norm()) > float((nearest - matrix).norm())
    zero_columns = {
        name: int((ball(matrix) == 0).all(0).sum())
        for name, ball in {"l11": L11Ball(20.0), "l1": L1Ball(20.0), "l21": L21Ball(20.0)}.items()
    }
    assert zero_columns["l11"] > zero_columns["l1"]
    assert zero_columns["l21"] > 0
    assert int((structured == 0).sum()) > int((nearest == 0).sum()) > int((L21Ball(20.0)(matrix) == 0).sum())
    assert int(torch.linalg.matrix_rank(NuclearBall(20.0)(matrix), rtol=1e-12)) < 30


def test_is_not_the_soft_threshold() -> None:
    matrix = uneven_matrix()
    assert not torch.allclose(l11_bilevel(matrix, 20.0, dim=1), l1_ball(matrix, 20.0), atol=1e-3)
    threshold = matrix.abs() - l11_bilevel(matrix, 20.0, dim=1).abs()
    alive = threshold[:, (l11_bilevel(matrix, 20.0, dim=1) != 0).any(0)]
    shifts = alive.amax(0)
    assert float(shifts.max() - shifts.min()) > 0.1


def test_zero_entries_appear_inside_surviving_groups() -> None:
    result = l11_bilevel(uneven_matrix(), 20.0, dim=1)
    alive = result[:, (result != 0).any(0)]
    assert alive.shape[1] > 0
    assert (alive == 0).any(0).all()


def test_inside_the_ball_is_the_identity() -> None:
    matrix = uneven_matrix()
    assert torch.equal(l11_bilevel(matrix, float(matrix.abs().sum()), dim=0), matrix)


def test_batched_equals_loop_and_axis_is_the_transpose() -> None:
    matrices = oracles.inputs(8, 5, 7, seed=2)
    batched = L11Ball(1.0, axis="out", batch_dims=1)(matrices)
    for matrix, got in zip(matrices, batched, strict=True):
        torch.testing.assert_close(got, l11_bilevel(matrix.T, 1.0, dim=1).T, rtol=1e-12, atol=1e-13)


def test_gradient_through_both_levels() -> None:
    matrices = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    function = lambda x: l11_bilevel(x, 2.0, dim=2, batch_dims=1)  # noqa: E731
    assert torch.autograd.gradcheck(function, matrices.requires_grad_())


def test_linear_twin_is_that_of_the_l1_ball() -> None:
    gradient = oracles.inputs(1, 4, 3, 2, 2, seed=4)[0]
    for fold in ("channel", "full", "partial"):
        assert torch.equal(
            L11Ball(2.0, fold=fold).minimise_linear(gradient), L1Ball(2.0).minimise_linear(gradient)
        )


def test_input_that_is_not_finite() -> None:
    with pytest.raises(NetsmithError, match="NaN or infinite entries"):
        l11_bilevel(torch.full((2, 2), float("inf")), 1.0, dim=0)
