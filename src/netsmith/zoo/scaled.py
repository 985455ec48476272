"""Widths under a multiplier."""

from __future__ import annotations

from netsmith.errors import NetsmithError


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """Return the multiple nearest to ``channels * width``, at least one and never below 90 % of the product.

    Args:
        channels: the network's own width.
        width: the multiplier.
        multiple: what the result must be divisible by (MobileNets: 8).

    Raises:
        NetsmithError: width is not positive and finite.

    Example:
        >>> scaled(64, 0.25), scaled(32, 0.35, multiple=8)
        (16, 16)
    """
    if not 0 < width < float("inf"):
        raise NetsmithError(
            f"width {width} cannot scale a network; give a positive number, 1.0 for its own size"
        )
    wanted = channels * width
    nearest = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return nearest if nearest >= 0.9 * wanted else nearest + multiple
