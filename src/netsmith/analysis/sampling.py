"""Drawing coalitions and permutations of players, and what they say of each player's value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from netsmith.analysis.quadrature import RANDOM, Levels, quadrature
from netsmith.errors import NetsmithError

Game = Callable[[Tensor], Tensor]
"""From coalitions, bool ``[batch, n]``, to their worths ``[batch]`` or ``[batch, outputs]``."""
Method = Literal["owen", "owen_antithetic", "permutation", "exact"]
INNER = 2
"""Draws per level of a fixed rule, as in the paper."""


class CountedGame:
    """A game that is evaluated in batches, counted and checked.

    Raises:
        NetsmithError: when called: worths of another shape, or that are not finite.
    """

    def __init__(self, v: Game, batch_size: int) -> None:
        self.v = v
        self.batch_size = max(batch_size, 1)
        self.evaluations = 0

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Return the worths of coalitions, in double precision."""
        worths = []
        for batch in torch.split(coalitions, self.batch_size):
            worth = self.v(batch)
            if not isinstance(worth, Tensor) or worth.dim() not in (1, 2) or len(worth) != len(batch):
                found = f"shape {tuple(worth.shape)}" if isinstance(worth, Tensor) else type(worth).__name__
                raise NetsmithError(
                    f"v returned {found} for {len(batch)} coalitions; expected [{len(batch)}] worths, or "
                    f"[{len(batch)}, outputs]"
                )
            worths.append(worth.detach().double())
        self.evaluations += len(coalitions)
        every = torch.cat(worths)
        if not bool(torch.isfinite(every).all()):
            raise NetsmithError("v returned NaN or infinity for a coalition; every worth must be finite")
        return every


def estimate(
    game: CountedGame, n: int, method: Method, levels: Levels, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean of what some draws say of every player, ``[n]`` or ``[n, outputs]``, and its variance.

    Draws of random levels take one level each, in a stratum each where the rule has strata; fixed rules take
    two draws per level.
    """
    if method == "permutation":
        order = torch.rand(draws, n, generator=generator).argsort(1)
        return _mean(_along(game, order), torch.full((draws,), 1 / draws, dtype=torch.float64))
    q, weights = _levels(levels, n, draws, generator)
    # Only [0, 1/2] where the complement stands for the other half.
    q = q / 2 if method == "owen_antithetic" else q
    drawn = torch.rand(len(q), n, generator=generator, dtype=torch.float64) < q[:, None]
    slopes = _slopes(game, drawn)
    if method == "owen_antithetic":
        slopes = (slopes + _slopes(game, ~drawn)) / 2
    return _mean(slopes, weights)


def _levels(levels: Levels, n: int, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the level and the weight of each draw."""
    if levels in RANDOM:
        return quadrature(levels, draws, generator)
    count = max(1, draws // INNER)
    if levels == "gauss":
        count = min(count, math.ceil(n / 2))
    elif levels in ("grid", "trapezoid"):
        count = max(2, count)
    nodes, weights = quadrature(levels, count)
    each = max(1, draws // count)
    return nodes.repeat_interleave(each), weights.repeat_interleave(each) / each


def _slopes(game: CountedGame, drawn: Tensor) -> Tensor:
    """Return ``v(S with i) - v(S without i)`` for coalitions ``[count, n]`` and every player i."""
    count, n = drawn.shape
    flipped = drawn[:, None, :] ^ torch.eye(n, dtype=torch.bool)
    worths = game(torch.cat([drawn[:, None, :], flipped], dim=1).flatten(0, 1))
    worths = worths.reshape(count, n + 1, *worths.shape[1:])
    sign = torch.where(drawn, 1.0, -1.0).double().to(worths.device)
    return (worths[:, :1] - worths[:, 1:]) * sign.reshape(count, n, *[1] * (worths.dim() - 2))


def _along(game: CountedGame, order: Tensor) -> Tensor:
    """Return what each player adds when players join in these orders ``[count, n]``."""
    count, n = order.shape
    joined = order.argsort(1)[:, None, :] < torch.arange(n + 1)[:, None]
    worths = game(joined.flatten(0, 1))
    worths = worths.reshape(count, n + 1, *worths.shape[1:])
    rank = order.argsort(1).to(worths.device)
    rank = rank.reshape(count, n, *[1] * (worths.dim() - 2)).expand(count, n, *worths.shape[2:])
    return worths.diff(dim=1).gather(1, rank)


def _mean(draws: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weighted mean and its variance, told from neighbours, which are of near strata."""
    weights = weights.to(draws.device)
    mean = torch.tensordot(weights, draws, dims=1)
    if len(draws) < 2:
        return mean, torch.full_like(mean, math.inf)
    halves = draws.diff(dim=0).square() / 2
    spread = torch.cat([halves[:1], (halves[1:] + halves[:-1]) / 2, halves[-1:]])
    return mean, torch.tensordot(weights.square(), spread, dims=1)
