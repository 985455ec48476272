"""How many weights survive each iteration of pruning."""

from __future__ import annotations

from netsmith.errors import NetsmithError


def survivors(
    total: int, *, rate: float = 0.2, iterations: int | None = None, density: float | None = None
) -> list[int]:
    r"""Return the survivors of ``total`` weights after each iteration: ``m - floor(rate m)`` of m.

    Args:
        total: weights at the start.
        rate: share of the survivors that an iteration removes, in (0, 1).
        iterations: how many, >= 1; or
        density: survivors over ``total`` in the end, in (0, 1): as many iterations as it takes, the last of
            which stops there. With both, the density must be in reach of the iterations.

    Raises:
        NetsmithError: an argument out of range, neither iterations nor density, an iteration that would
            remove nothing, or a density out of reach; the message names the nearest one.

    >>> survivors(1000, iterations=3), survivors(1000, density=0.6)
    ([800, 640, 512], [800, 640, 600])
    """
    _check(rate, iterations, density)
    last = 0 if density is None else _whole(density, total)
    counts: list[int] = []
    left = total
    while len(counts) < iterations if iterations is not None else left > last:
        gone = _whole(rate, left)
        if not gone:
            raise NetsmithError(
                f"rate {rate} removes none of the last {left} of {total} weights (density "
                f"{left / total:.3g}); take fewer iterations, a higher density or a higher rate"
            )
        if left == last:
            raise NetsmithError(
                f"density {density} of {total} weights is reached after {len(counts)} iterations; "
                f"{iterations} were asked for: leave one of the two out"
            )
        left = max(left - gone, last)
        counts.append(left)
    if left > last and density is not None:
        raise NetsmithError(
            f"{iterations} iterations at rate {rate} reach density {left / total:.3g} at the least, not "
            f"{density}; leave iterations out, or take a higher rate"
        )
    return counts


def _whole(share: float, count: int) -> int:
    # 0.29 * 100 is below 29 in floating point, and is 29 all the same.
    return int(share * count * (1 + 1e-12))


def _check(rate: float, iterations: int | None, density: float | None) -> None:
    if not 0 < rate < 1:
        raise NetsmithError(f"rate is {rate}; expected the share of survivors to remove, between 0 and 1")
    if iterations is None and density is None:
        raise NetsmithError("expected iterations, density, or both; they say when to stop")
    if iterations is not None and iterations < 1:
        raise NetsmithError(f"iterations is {iterations}; expected at least 1")
    if density is not None and not 0 < density < 1:
        raise NetsmithError(f"density is {density}; expected the share of survivors, between 0 and 1")
