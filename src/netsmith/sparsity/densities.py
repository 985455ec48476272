"""How many weights each layer keeps, for one density of the whole network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from netsmith.errors import NetsmithError

Shapes = Mapping[str, Sequence[int]]


def uniform(shapes: Shapes, density: float) -> dict[str, int]:
    """Return non-zeros per layer when every layer has the same density.

    Args:
        shapes: of the weights that count, by name; all others stay outside of the density.
        density: non-zeros of all layers over their weights, in (0, 1].

    Returns:
        Whole numbers >= 1 that add up to ``round(density * weights)``.

    Raises:
        NetsmithError: a density outside (0, 1], or too few weights for one per layer.

    >>> uniform({"a": (10, 10), "b": (4, 5)}, 0.1)
    {'a': 10, 'b': 2}
    """
    return _share_out(shapes, density, lambda shape: 1.0)


def erdos_renyi(shapes: Shapes, density: float) -> dict[str, int]:
    """Return non-zeros per layer with densities proportional to ``(n_in + n_out) / (n_in n_out)``.

    D. Mocanu et al., 2018, arXiv:1707.04780. Wide layers become sparser; one that would need more than all
    of its weights keeps them all, and the others share the rest. Arguments and errors as :func:`uniform`.

    >>> erdos_renyi({"a": (10, 10), "b": (4, 5)}, 0.25)
    {'a': 21, 'b': 9}
    """
    return _share_out(shapes, density, lambda shape: sum(shape[:2]) / math.prod(shape[:2]))


def erdos_renyi_kernel(shapes: Shapes, density: float) -> dict[str, int]:
    """Return non-zeros per layer with densities proportional to ``Σ dims / Π dims``, the kernel's included.

    U. Evci et al., 2020, arXiv:1911.11134 (RigL). Arguments, returns and errors as :func:`uniform`.

    >>> erdos_renyi_kernel({"a": (8, 8, 3, 3), "b": (8, 8, 1, 1)}, 0.2)
    {'a': 70, 'b': 58}
    """
    return _share_out(shapes, density, lambda shape: sum(shape) / math.prod(shape))


def _share_out(shapes: Shapes, density: float, relative: Callable[[Sequence[int]], float]) -> dict[str, int]:
    if not 0 < density <= 1:
        raise NetsmithError(f"density is {density}; expected the share of non-zeros, above 0 up to 1")
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    budget = round(density * sum(sizes.values()))
    if budget < len(sizes):
        raise NetsmithError(
            f"density {density} leaves {budget} weights for {len(sizes)} layers; expected one each at least"
        )
    wanted = {name: relative(shape) * sizes[name] for name, shape in shapes.items()}
    return _whole(_clipped(sizes, wanted, budget), sizes, budget)


def _clipped(sizes: Mapping[str, int], wanted: Mapping[str, float], budget: int) -> dict[str, float]:
    """Scale what layers want to the budget; a layer that is full leaves the rest to the others."""
    full: set[str] = set()
    while True:
        rest = budget - sum(sizes[name] for name in full)
        total = sum(want for name, want in wanted.items() if name not in full)
        scale = rest / total if total else 0.0
        over = {name for name in wanted if name not in full and scale * wanted[name] > sizes[name]}
        if not over:
            return {name: sizes[name] if name in full else scale * want for name, want in wanted.items()}
        full |= over


def _whole(wanted: Mapping[str, float], sizes: Mapping[str, int], budget: int) -> dict[str, int]:
    """Round to whole numbers >= 1 with the budget as their sum, by largest remainder."""
    counts = {name: min(max(1, math.floor(want)), sizes[name]) for name, want in wanted.items()}
    while (missing := budget - sum(counts.values())) != 0:
        step = 1 if missing > 0 else -1
        able = [n for n in counts if (counts[n] < sizes[n] if step > 0 else counts[n] > 1)]
        for name in sorted(able, key=lambda n: step * (counts[n] - wanted[n]))[: abs(missing)]:
            counts[name] += step
    return counts
