"""Reading out: from distributions over sizes to sizes that keep a budget and use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

from torch import Tensor


def read_out(
    logits: Sequence[Tensor],
    cost: Callable[[Sequence[int]], Mapping[str, float]],
    limits: Mapping[str, float],
    tolerance: float = 0.05,
) -> list[int]:
    """Return one option per distribution: the most probable ones, changed as little as the budget asks.

    While the cost is above a limit, or further than ``tolerance`` below all of them, one choice changes, or
    two at once where one does not help: those that lose the least log probability for what they bring the
    cost nearer. It ends when none do.

    Args:
        logits: ``[options]`` per distribution.
        cost: from the places of options to costs by kind.
        limits: by kind; some choice keeps them, and the first option of each distribution is the cheapest.
        tolerance: share of the limits that may stay unused.

    >>> import torch
    >>> likely = [torch.tensor([0.0, 1.0, 5.0]), torch.tensor([0.0, 2.0, 3.0])]
    >>> read_out(likely, lambda places: {"macs": 10.0 * sum(places)}, {"macs": 30.0})
    [2, 1]
    """
    known = [one.detach().double().log_softmax(dim=-1).tolist() for one in logits]
    chosen = [max(range(len(one)), key=one.__getitem__) for one in known]

    def away(places: Sequence[int]) -> float:
        return _away(cost(places), limits, tolerance)

    def better(count: int) -> list[tuple[float, list[int]]]:
        """Return what brings the cost nearer by changing so many choices, and its price."""
        found, here = [], away(chosen)
        for numbers in combinations(range(len(known)), count):
            for places in product(*(range(len(known[number])) for number in numbers)):
                moved = list(chosen)
                lost = 0.0
                for number, place in zip(numbers, places, strict=True):
                    lost += known[number][moved[number]] - known[number][place]
                    moved[number] = place
                nearer = here - away(moved)
                if nearer > 0:
                    found.append((lost / nearer, moved))
        return found

    while away(chosen):
        moves = better(1) or better(2)
        if not moves:
            break
        chosen = min(moves)[1]
    return chosen


def _away(cost: Mapping[str, float], limits: Mapping[str, float], tolerance: float) -> float:
    """Return how far costs are from where they should be; above a limit is further than any way below."""
    share = max(cost[kind] / limit for kind, limit in limits.items())
    if share > 1 + 1e-9:
        return share
    return max(0.0, 1 - tolerance - share)
