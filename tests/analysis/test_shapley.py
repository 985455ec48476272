from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import netsmith as ns
from netsmith.analysis import enumerate_coalitions, exact_shapley, shapley
from netsmith.errors import NetsmithError, UnknownNameError

PLAYERS = 8
WEIGHTS = torch.randn(PLAYERS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PAIRS = torch.randn(PLAYERS, PLAYERS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def curved(coalitions: Tensor) -> Tensor:
    return torch.tanh(coalitions.double() @ WEIGHTS)


def of_pairs(coalitions: Tensor) -> Tensor:
    return ((coalitions.double() @ PAIRS) * coalitions.double()).sum(1)


EVERY = [
    ("owen", "stratified"),
    ("owen", "uniform"),
    ("owen", "gauss"),
    ("owen_antithetic", "stratified"),
    ("owen_antithetic", "gauss"),
    ("permutation", "stratified"),
]


@pytest.mark.parametrize(("method", "levels"), EVERY)
def test_estimates_have_no_bias_and_know_their_error(method: str, levels: str) -> None:
    exact = exact_shapley(curved(enumerate_coalitions(PLAYERS)))
    generator = torch.Generator().manual_seed(2)
    runs = [
        shapley(curved, PLAYERS, method=method, levels=levels, budget=20 * 9, generator=generator)  # type: ignore[arg-type]
        for _ in range(400)
    ]
    found = torch.stack([run.values for run in runs])
    assert bool(((found.mean(0) - exact).abs() <= 4 * found.std(0) / math.sqrt(400)).all())
    stated = torch.stack([run.errors for run in runs]).square().mean(0).sqrt()
    assert bool((stated / found.std(0) > 0.8).all())
    assert bool((stated / found.std(0) < 1.6).all())


@pytest.mark.parametrize(("method", "levels"), [*EVERY, ("owen", "grid"), ("owen", "trapezoid")])
def test_one_coalition_suffices_for_a_game_without_interaction(method: str, levels: str) -> None:
    estimate = shapley(lambda s: s.double() @ WEIGHTS, PLAYERS, method=method, levels=levels, budget=36)  # type: ignore[arg-type]
    torch.testing.assert_close(estimate.values, WEIGHTS)


def test_a_pair_of_coalitions_suffices_for_a_game_of_pairs() -> None:
    exact = exact_shapley(of_pairs(enumerate_coalitions(PLAYERS)))
    torch.testing.assert_close(shapley(of_pairs, PLAYERS, budget=18).values, exact)
    single = shapley(of_pairs, PLAYERS, method="owen", budget=18).values
    assert float((single - exact).abs().max()) > 0.1


@pytest.mark.parametrize(("method", "levels"), EVERY)
def test_axioms(method: str, levels: str) -> None:
    def v(coalitions: Tensor) -> Tensor:
        count = coalitions[:, :2].sum(1)  # players 0 and 1 are alike, player 7 does nothing
        return torch.tanh(coalitions[:, 2:7].double() @ WEIGHTS[2:7] + 0.5 * count)

    values, errors = shapley(v, PLAYERS, method=method, levels=levels, budget=5000)  # type: ignore[arg-type]
    assert float(values[7]) == 0.0
    assert abs(float(values[0] - values[1])) <= 4 * float(errors[0] + errors[1])
    ends = v(torch.tensor([[True] * 8, [False] * 8]))
    whole = float(ends[0] - ends[1])
    slack = 1e-12 if method == "permutation" else 4 * float(errors.sum())
    assert abs(float(values.sum()) - whole) <= slack
    fair = shapley(v, PLAYERS, method=method, levels=levels, budget=5000, normalize=True).values  # type: ignore[arg-type]
    assert float(fair.sum()) == pytest.approx(whole, abs=1e-12)
    assert float(fair[7]) == 0.0


def test_a_vote_at_half_of_the_players_is_where_complements_hurt() -> None:
    weights = torch.rand(10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def majority(coalitions: Tensor) -> Tensor:
        return (coalitions.double() @ weights > weights.sum() / 2).double()

    exact = exact_shapley(majority(enumerate_coalitions(10)))
    errors = {}
    for method in ("owen_antithetic", "permutation"):
        generator = torch.Generator().manual_seed(4)
        runs = [
            shapley(majority, 10, method=method, budget=220, generator=generator).values for _ in range(100)
        ]
        errors[method] = float((torch.stack(runs) - exact).square().mean())
    assert errors["owen_antithetic"] > errors["permutation"]


def test_several_outputs_come_from_the_same_coalitions() -> None:
    both = shapley(lambda s: torch.stack([curved(s), -2 * curved(s)], 1), PLAYERS, budget=900)
    one = shapley(curved, PLAYERS, budget=900)
    assert both.values.shape == both.errors.shape == (PLAYERS, 2)
    assert both.evaluations == one.evaluations == 900
    torch.testing.assert_close(both.values, torch.stack([one.values, -2 * one.values], 1))
    orders = shapley(
        lambda s: torch.stack([curved(s), curved(s)], 1), PLAYERS, method="permutation", budget=90
    )
    torch.testing.assert_close(orders.values[:, 0], orders.values[:, 1])


def test_exact_enumerates_and_tolerance_stops_early() -> None:
    exact = shapley(curved, PLAYERS, method="exact")
    assert exact.evaluations == 2**PLAYERS
    assert not exact.errors.any()
    torch.testing.assert_close(exact.values, exact_shapley(curved(enumerate_coalitions(PLAYERS))))
    stopped = shapley(curved, PLAYERS, tolerance=0.02, budget=10**6)
    assert stopped.evaluations < 10**5
    assert float(stopped.errors.max()) <= 0.02
    assert float((stopped.values - exact.values).abs().max()) < 0.1


def test_budget_counts_whole_draws_and_batches_do_not_matter() -> None:
    asked: list[int] = []

    def v(coalitions: Tensor) -> Tensor:
        asked.append(len(coalitions))
        return curved(coalitions)

    estimate = shapley(v, PLAYERS, budget=100, batch_size=7)
    assert estimate.evaluations == sum(asked) == 90  # five pairs of nine
    assert max(asked) == 7
    torch.testing.assert_close(estimate.values, shapley(curved, PLAYERS, budget=100).values)
    assert bool(shapley(curved, PLAYERS, budget=18).errors.isinf().all())


def test_mistakes() -> None:
    def call(**options: object) -> None:
        shapley(curved, PLAYERS, **options)  # type: ignore[arg-type]

    with pytest.raises(NetsmithError, match="n_players=0; a game needs at least 1"):
        shapley(curved, 0)
    with pytest.raises(NetsmithError, match="n_players=30; all coalitions can be had of 1 to 22"):
        shapley(curved, 30, method="exact")
    with pytest.raises(NetsmithError, match="budget=17 does not pay for 1 draws of owen_antithetic; give"):
        call(budget=17)
    with pytest.raises(NetsmithError, match="does not pay for 2 draws of owen; give at least 18"):
        call(budget=17, method="owen", levels="grid")
    with pytest.raises(NetsmithError, match=r"tolerance=0\.0 must be above 0"):
        call(tolerance=0.0)
    with pytest.raises(UnknownNameError, match="unknown method for Shapley values 'owens'"):
        call(method="owens")
    with pytest.raises(UnknownNameError, match="unknown rule for levels"):
        call(levels="some")
    with pytest.raises(NetsmithError, match=r"v returned shape \(9, 1, 1\) for 9 coalitions"):
        shapley(lambda s: torch.zeros(len(s), 1, 1), PLAYERS, budget=9, method="owen")
    with pytest.raises(NetsmithError, match="v returned float for 9 coalitions"):
        shapley(lambda s: 1.0, PLAYERS, budget=9, method="owen")  # type: ignore[arg-type,return-value]
    with pytest.raises(NetsmithError, match="v returned NaN or infinity"):
        shapley(lambda s: s.sum(1) / torch.zeros(len(s)), PLAYERS)


def test_it_is_public() -> None:
    assert ns.analysis.shapley is shapley
