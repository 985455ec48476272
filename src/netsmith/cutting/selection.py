"""Which channels stay: from scores to a keep, in steps of one channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from netsmith.contracts import Keep

Scope = Literal["global", "local"]


def chooser(
    scores: dict[str, Tensor],
    free: list[str],
    multiples: dict[str, int],
    scope: Scope,
    least: Mapping[str, int],
) -> Callable[[int], Keep]:
    """Return a function from a number of channels to the keep without the lowest-scoring that many.

    ``least`` says of which groups more than one channel must stay.
    """
    order = {name: torch.argsort(scores[name], stable=True) for name in free}
    sizes = {name: len(order[name]) for name in free}
    total = sum(sizes.values())
    if scope == "global":
        everything = torch.cat([scores[name] for name in free])
        owner = torch.cat([torch.full((sizes[name],), i) for i, name in enumerate(free)])
        ranked = owner[torch.argsort(everything, stable=True)]

    def left(name: str, gone: int) -> int:
        return max(sizes[name] - gone, least.get(name, 1))

    def choose(count: int) -> Keep:
        if scope == "global":
            gone = torch.bincount(ranked[:count], minlength=len(free)).tolist()
        else:
            gone = [math.floor(sizes[name] * count / total) for name in free]
        return {
            name: _without(order[name], _rounded(left(name, gone[i]), sizes[name], multiples[name]))
            for i, name in enumerate(free)
        }

    return choose


def _rounded(stay: int, size: int, multiple: int) -> int:
    """Round a width up to its multiple, within [1, size]; a group narrower than the multiple stays whole."""
    return min(size, max(multiple, math.ceil(stay / multiple) * multiple)) if size > multiple else size


def _without(order: Tensor, stay: int) -> Tensor:
    mask = torch.ones(len(order), dtype=torch.bool)
    mask[order[: len(order) - stay]] = False
    return mask
