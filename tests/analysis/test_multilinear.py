from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor

from netsmith.analysis import diagonal_slopes, enumerate_coalitions, exact_shapley, quadrature
from netsmith.errors import NetsmithError, UnknownNameError


def game(seed: int, players: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2**players, generator=generator, dtype=torch.float64)


def over_all_orders(table: Tensor, players: int) -> Tensor:
    total = torch.zeros(players, dtype=torch.float64)
    for order in permutations(range(players)):
        coalition = 0
        for player in order:
            joined = coalition | 1 << (players - 1 - player)
            total[player] += table[joined] - table[coalition]
            coalition = joined
    return total / math.factorial(players)


@pytest.mark.parametrize("players", [1, 2, 5])
def test_shapley_values_are_means_over_all_orders(players: int) -> None:
    table = game(players, players)
    torch.testing.assert_close(exact_shapley(table), over_all_orders(table, players))
    both = torch.stack([table, 3 * table], dim=1)
    torch.testing.assert_close(exact_shapley(both)[:, 1], 3 * exact_shapley(table))


def test_slopes_are_derivatives_of_the_multilinear_extension() -> None:
    players, table, q, step = 4, game(0, 4), 0.3, 1e-6
    coalitions = enumerate_coalitions(players).double()

    def extension(probabilities: Tensor) -> Tensor:
        chances = torch.where(coalitions == 1, probabilities, 1 - probabilities).prod(1)
        return chances @ table

    for player, slope in enumerate(diagonal_slopes(table, q)):
        up, down = torch.full((2, players), q, dtype=torch.float64)
        up[player] += step
        down[player] -= step
        difference = (extension(up) - extension(down)) / (2 * step)
        assert float(slope) == pytest.approx(float(difference), abs=1e-8)


@pytest.mark.parametrize("players", range(4, 11))
def test_half_as_many_gauss_nodes_as_players_are_exact_and_one_less_is_not(players: int) -> None:
    for seed in range(5):
        table = game(seed, players)
        errors = []
        for count in (math.ceil(players / 2), math.ceil(players / 2) - 1):
            q, weights = quadrature("gauss", count)
            found = sum(w * diagonal_slopes(table, float(one)) for one, w in zip(q, weights, strict=True))
            errors.append(float((found - exact_shapley(table)).abs().max()))
        assert errors[0] < 1e-12 < 1e-6 < errors[1]


@pytest.mark.parametrize(("levels", "order"), [("grid", 1), ("trapezoid", 2), ("midpoint", 2)])
def test_bias_of_fixed_levels_falls_with_their_order(levels: str, order: int) -> None:
    table = game(0, 10)
    errors = []
    for count in (41, 81):
        q, weights = quadrature(levels, count)  # type: ignore[arg-type]
        found = sum(w * diagonal_slopes(table, float(one)) for one, w in zip(q, weights, strict=True))
        errors.append(float((found - exact_shapley(table)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_random_levels_lie_in_their_strata() -> None:
    q, weights = quadrature("stratified", 50, torch.Generator().manual_seed(1))
    assert (q * 50).floor().tolist() == list(range(50))
    assert float(weights.sum()) == pytest.approx(1)
    uniform, _ = quadrature("uniform", 50, torch.Generator().manual_seed(1))
    assert len((uniform * 50).floor().unique()) < 50


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="n_players=23; all coalitions can be had of 1 to 22"):
        enumerate_coalitions(23)
    with pytest.raises(NetsmithError, match="a table of 6 worths"):
        exact_shapley(torch.zeros(6))
    with pytest.raises(NetsmithError, match="1 levels of rule 'grid'; it needs at least 2"):
        quadrature("grid", 1)
    with pytest.raises(UnknownNameError, match="unknown rule for levels 'gaus'"):
        quadrature("gaus", 3)  # type: ignore[arg-type]
