"""When to be how sparse: from a clock to the sparsity that training should have now.

Bind the settings with :func:`functools.partial`; what is left takes a :class:`netsmith.contracts.Clock`.
"""

from __future__ import annotations

from collections.abc import Callable

from netsmith.contracts import Clock
from netsmith.errors import NetsmithError

Schedule = Callable[[Clock], float]
"""From where a run stands to the share of weights that is zero."""


def one_shot(clock: Clock, *, final: float, at: float = 0.0) -> float:
    """Return 0 before the share ``at`` of the run, and ``final`` from then on.

    Raises:
        NetsmithError: a sparsity outside [0, 1).
    """
    _check(final)
    return final if clock.progress >= at else 0.0


def cubic(clock: Clock, *, final: float, initial: float = 0.0, begin: float = 0.0, end: float = 1.0) -> float:
    """Return ``s_f + (s_i - s_f) (1 - (t - t_0) / (t_1 - t_0))³``, which prunes fast while there is plenty.

    M. Zhu, S. Gupta, 2017, arXiv:1710.01878. Constant outside of ``begin`` and ``end``.

    Args:
        clock: where the run stands.
        final: sparsity from ``end`` on, in [0, 1).
        initial: sparsity up to ``begin``.
        begin: share of the run at which the ramp starts.
        end: share of the run at which it ends.

    Raises:
        NetsmithError: a sparsity outside [0, 1), or an end that is not after the beginning.

    >>> from netsmith.clock import Clock
    >>> [cubic(Clock(step, 10, 1), final=0.9) for step in (0, 5, 10)]
    [0.0, 0.7875, 0.9]
    """
    _check(initial, final)
    if not begin < end:
        raise NetsmithError(f"the schedule begins at {begin} and ends at {end}; expected an end after it")
    left = 1 - min(max((clock.progress - begin) / (end - begin), 0.0), 1.0)
    return final + (initial - final) * left**3


def cyclic(clock: Clock, *, final: float, initial: float = 0.0, cycles: int = 3) -> float:
    """Return ``cycles`` cubic ramps one after the other, so that what was pruned too early can come back.

    S. Srinivas, A. Kuzmin, M. Nagel, M. van Baalen, A. Skliar, T. Blankevoort, 2022, arXiv:2202.01290. Give
    learning rates the same cycles, and let pruned weights go on learning in between.

    Raises:
        NetsmithError: a sparsity outside [0, 1), or no cycle.

    >>> from netsmith.clock import Clock
    >>> [cyclic(Clock(step, 10, 1), final=0.9, cycles=2) for step in (0, 4, 5, 10)]
    [0.0, 0.8928, 0.0, 0.9]
    """
    _check(initial, final)
    if cycles < 1:
        raise NetsmithError(f"cycles is {cycles}; expected at least 1")
    turns = clock.progress * cycles
    left = 1 - (turns % 1.0 if turns < cycles else 1.0)
    return final + (initial - final) * left**3


def _check(*sparsities: float) -> None:
    for value in sparsities:
        if not 0 <= value < 1:
            raise NetsmithError(f"sparsity is {value}; expected the share of zeros, at least 0 and below 1")
