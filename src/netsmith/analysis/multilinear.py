"""Games small enough to enumerate: their Shapley values, and the slopes of their multilinear extension.

A game of n players is known by its table: the worths of all ``2**n`` coalitions, coalition number c holding
player i where bit ``n - 1 - i`` of c is set, the order of :func:`enumerate_coalitions`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netsmith.errors import NetsmithError

MOST = 22
"""Players of the largest game that is enumerated."""


def enumerate_coalitions(n_players: int) -> Tensor:
    """Return all coalitions, a bool tensor ``[2**n, n]``.

    Raises:
        NetsmithError: fewer than 1 player, or more than 22.

    >>> enumerate_coalitions(2).int().tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if not 1 <= n_players <= MOST:
        raise NetsmithError(f"n_players={n_players}; all coalitions can be had of 1 to {MOST} players")
    numbers = torch.arange(2**n_players)[:, None]
    return (numbers >> torch.arange(n_players - 1, -1, -1)) % 2 == 1


def exact_shapley(table: Tensor) -> Tensor:
    r"""Return the Shapley values of a game that is known whole.

    :math:`φ_i = Σ_{S ∌ i} \frac{|S|! (n-1-|S|)!}{n!} (v(S ∪ i) - v(S))`.

    Args:
        table: worths of all coalitions ``[2**n]``, or ``[2**n, outputs]``.

    Returns:
        Shapley values ``[n]`` or ``[n, outputs]``, in double precision.

    >>> exact_shapley(torch.tensor([0.0, 0.0, 0.0, 1.0])).tolist()
    [0.5, 0.5]
    """
    players = _players(table)
    # |S|! (n-1-|S|)! / n! is one over n times the number of coalitions of that size among the others.
    weights = torch.tensor(
        [1 / (players * math.comb(players - 1, size)) for size in range(players)], dtype=torch.float64
    )
    return _weighted(table, weights)


def diagonal_slopes(table: Tensor, q: float) -> Tensor:
    r"""Return the slopes of the multilinear extension where everyone takes part with probability q.

    :math:`g_i(q) = E_S [v(S ∪ i) - v(S)]`, each other player in S with probability q on its own; its integral
    over q from 0 to 1 is the Shapley value (Owen 1972), and it is a polynomial of degree n - 1 at most.

    Args:
        table: worths of all coalitions ``[2**n]``, or ``[2**n, outputs]``.
        q: probability, 0 to 1.

    Returns:
        Slopes ``[n]`` or ``[n, outputs]``, in double precision.

    >>> diagonal_slopes(torch.tensor([0.0, 0.0, 0.0, 1.0]), 0.3).tolist()
    [0.3, 0.3]
    """
    players = _players(table)
    weights = torch.tensor(
        [q**size * (1 - q) ** (players - 1 - size) for size in range(players)], dtype=torch.float64
    )
    return _weighted(table, weights)


def _weighted(table: Tensor, weights: Tensor) -> Tensor:
    """Sum what each player adds to every coalition of the others, weighted by the coalition's size."""
    players = _players(table)
    others = players - 1
    sizes = enumerate_coalitions(others).sum(1) if others else torch.zeros(1, dtype=torch.int64)
    weight = weights[sizes].to(table.device)
    cube = table.double().reshape(*[2] * players, *table.shape[1:])
    added = [(cube.select(i, 1) - cube.select(i, 0)).reshape(-1, *table.shape[1:]) for i in range(players)]
    return torch.stack([torch.tensordot(weight, one, dims=1) for one in added])


def _players(table: Tensor) -> int:
    players = max(len(table) - 1, 0).bit_length()
    if len(table) < 2 or len(table) != 2**players:
        raise NetsmithError(f"a table of {len(table)} worths; expected 2**n of them, one per coalition")
    return players
