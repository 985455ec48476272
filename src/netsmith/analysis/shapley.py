"""Shapley values of any game that can be evaluated, by sampling its multilinear extension."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from netsmith.analysis.multilinear import enumerate_coalitions, exact_shapley
from netsmith.analysis.quadrature import Levels
from netsmith.analysis.sampling import CountedGame, Game, Method, estimate
from netsmith.cards import card
from netsmith.errors import NetsmithError, UnknownNameError

ROUND = 32
"""Independent draws between two looks at the tolerance."""


@dataclass(frozen=True, eq=False)
class ShapleyEstimate:
    """Shapley values and their standard errors; unpacks into these two.

    ``values`` and ``errors`` have one entry (or row of outputs) per player; an error is infinite where a
    single draw cannot tell it. ``evaluations`` is how many coalitions were evaluated. ``baseline`` is what
    players outside a coalition were replaced by, where the game was made from data.
    """

    values: Tensor
    errors: Tensor
    evaluations: int
    baseline: Tensor | None = None

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.values, self.errors))


@card(
    title="Multilinear sampling of Shapley values (Owen sampling)",
    paper="R. Okhrati, A. Lipani, 2020, arXiv:2010.12082",
    venue="ICPR 2020",
    differs=(
        "levels of participation are drawn at random, one in each stratum, which has no bias, unless another "
        "rule is asked for (the paper: the plain mean over a grid, two draws per level); the grid of the "
        "antithetic version counts its level 1/2 in full, the authors' code half; standard errors are added"
    ),
)
def shapley(
    v: Game,
    n_players: int,
    *,
    method: Method = "owen_antithetic",
    levels: Levels = "stratified",
    budget: int = 20_000,
    tolerance: float | None = None,
    normalize: bool = False,
    generator: torch.Generator | None = None,
    batch_size: int = 4096,
) -> ShapleyEstimate:
    r"""Return the Shapley value of every player, estimated from evaluations of coalitions.

    :math:`φ_i = ∫_0^1 E[v(S ∪ i) - v(S)] dq` with every player in S with probability q. A coalition serves
    all players at once and costs n + 1 evaluations. ``"owen_antithetic"`` takes it together with its
    complement: exact for games of pairs, and usually the least error; but it hurts where worths turn around
    at half the players, as votes and thresholded accuracies do. ``"permutation"`` is the estimator of Castro
    et al. (2009), whose values always sum to v(all) - v(none); ``"exact"`` evaluates all 2^n coalitions.

    Errors of different players are correlated, because they share coalitions. Not the Owen value, which is
    for players in unions.

    Args:
        v: bool ``[batch, n]`` to worths ``[batch]``, or ``[batch, outputs]`` for several games at once.
        n_players: n.
        method: the estimator.
        levels: rule for q (:func:`~netsmith.analysis.quadrature`); fixed rules are biased but for
            ``"gauss"``, which takes ceil(n/2) nodes at most.
        budget: evaluations, rounded down to whole coalitions, or pairs of them; ``exact`` ignores it.
        tolerance: stop when no standard error is larger, in units of v; by default the budget is spent.
        normalize: make values sum to v(all) - v(none), what is missing shared out by squared error.
        generator: source of randomness; default a fresh one seeded with 0.
        batch_size: coalitions per call of v.

    Raises:
        NetsmithError: fewer than 1 player, more than 22 for ``exact``, a budget below one draw, a tolerance
            that is not positive, or worths that are not finite or have another shape.
        UnknownNameError: no such method or rule.

    Example:
        >>> values, errors = shapley(lambda s: s.double() @ torch.tensor([1.0, 2.0, 3.0]).double(), 3)
        >>> [round(float(value), 9) for value in values]
        [1.0, 2.0, 3.0]
    """
    if method not in get_args(Method):
        raise UnknownNameError("method for Shapley values", method, get_args(Method))
    if n_players < 1:
        raise NetsmithError(f"n_players={n_players}; a game needs at least 1 player")
    if tolerance is not None and not tolerance > 0:
        raise NetsmithError(f"tolerance={tolerance} must be above 0, in units of v")
    game = CountedGame(v, batch_size)
    if method == "exact":
        values = exact_shapley(game(enumerate_coalitions(n_players)))
        return ShapleyEstimate(values, torch.zeros_like(values), game.evaluations)
    cost = (n_players + 1) * (2 if method == "owen_antithetic" else 1)
    draws, least = budget // cost, 2 if levels in ("grid", "trapezoid") and method != "permutation" else 1
    if draws < least:
        raise NetsmithError(
            f"budget={budget} does not pay for {least} draws of {method}; give at least {least * cost}"
        )
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    values, variances, done = torch.zeros(()), torch.zeros(()), 0
    while done < draws:
        count = draws - done if tolerance is None else min(ROUND, draws - done)
        mean, variance = estimate(game, n_players, method, levels, count, generator)
        share = count / (done + count)
        values = (1 - share) * values + share * mean
        variances = (1 - share) ** 2 * variances + share**2 * variance
        done += count
        if tolerance is not None and float(variances.max()) <= tolerance**2:
            break
    if normalize:
        values = _summing_to(game, values, variances)
    return ShapleyEstimate(values, variances.sqrt(), game.evaluations)


def _summing_to(game: CountedGame, values: Tensor, variances: Tensor) -> Tensor:
    ends = torch.zeros(2, len(values), dtype=torch.bool)
    ends[1] = True
    none, everyone = game(ends)
    missing = everyone - none - values.sum(0)
    # Infinite or no errors at all: equal shares.
    known = torch.where(torch.isfinite(variances), variances, torch.ones_like(variances))
    total = known.sum(0)
    share = torch.where(total > 0, known / total, torch.full_like(known, 1 / len(values)))
    fair: Tensor = values + share * missing
    return fair
