"""Numbers for people: SI prefixes, three significant digits, a thin space before the unit."""

from __future__ import annotations

import math
import re
from typing import Any

SPACE = "\u202f"
MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def number(value: Any) -> float | None:
    """Return a finite float, or None for anything that is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def significant(value: float) -> str:
    """Return three significant digits.

    >>> significant(40.562), significant(812.3), significant(0.004512)
    ('40.6', '812', '0.00451')
    """
    return "0" if value == 0 else f"{value:#.3g}".rstrip(".")


def scaled(value: Any, unit: str, steps: tuple[tuple[float, str], ...]) -> str:
    """Return a value in the largest of the steps (factor, prefix) that it reaches."""
    amount = number(value)
    if amount is None:
        return MISSING
    if amount == 0:
        return f"0{SPACE}{unit}".rstrip(SPACE)
    for factor, prefix in steps:
        # 999.6 would round to 1000: the next prefix reads better.
        if abs(amount) >= factor * 0.9995:
            return f"{significant(amount / factor)}{SPACE}{prefix}{unit}".rstrip(SPACE)
    factor, prefix = steps[-1]
    return f"{significant(amount / factor)}{SPACE}{prefix}{unit}".rstrip(SPACE)


LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def count(value: Any) -> str:
    """Return a count such as parameters or multiply-accumulates.

    >>> count(40_551_000).replace(SPACE, " "), count(640)
    ('40.6 M', '640')
    """
    amount = number(value)
    if amount is not None and abs(amount) < 999.5 and amount == round(amount):
        return f"{amount:.0f}"
    return scaled(value, "", LARGE)


def plain(value: Any) -> str:
    """Return a number without a unit.

    >>> plain(127.31), plain(None) == MISSING
    ('127', True)
    """
    amount = number(value)
    return MISSING if amount is None else significant(amount)


def size(value: Any) -> str:
    """Return bytes in steps of 1000."""
    return scaled(value, "B", LARGE)


def time(value: Any) -> str:
    """Return a latency given in seconds."""
    return scaled(value, "s", SMALL)


def energy(value: Any) -> str:
    """Return an energy given in joules."""
    return scaled(value, "J", SMALL)


def duration(value: Any) -> str:
    """Return a length of time given in seconds, as one would say it.

    >>> duration(3725).replace(SPACE, " "), duration(8.26).replace(SPACE, " ")
    ('1 h 2 min', '8.3 s')
    """
    seconds = number(value)
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min {rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h {minutes % 60}{SPACE}min"


def percent(value: Any, digits: int = 1) -> str:
    """Return a fraction as a percentage."""
    fraction = number(value)
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f}{SPACE}%"


def accuracy(value: Any) -> str:
    """Return a share of right answers as a percentage with two digits, as test sets have thousands."""
    return percent(value, 2)


def points(value: Any) -> str:
    """Return a difference of two fractions in percentage points, signed."""
    difference = number(value)
    if difference is None:
        return MISSING
    rounded = round(100 * difference, 2)
    return f"{MINUS if rounded < 0 else '+' if rounded > 0 else '±'}{abs(rounded):.2f}"


def times(value: Any) -> str:
    """Return a factor: ``2.9×``; one digit after the point below ten."""
    factor = number(value)
    if factor is None:
        return MISSING
    digits = 2 if factor < 2 else 1 if factor < 10 else 0
    return f"{factor:.{digits}f}{TIMES}"


def brief(text: str) -> str:
    """Return a written number without the zeros that end its fraction, as on an axis.

    >>> brief("0.500"), brief("20.0 %"), brief("100 %")
    ('0.5', '20 %', '100 %')
    """
    return re.sub(r"(\.\d*?)0+(?!\d)", lambda found: found[1].rstrip("."), text)


def spread(mean: str, deviation: str) -> str:
    """Return ``mean ± deviation``, the unit written once where both have the same.

    >>> spread("91.8 %", "0.1 %"), spread("1.02 ms", "30.0 µs")
    ('91.8 ± 0.1 %', '1.02 ms ± 30.0 µs')
    """
    pattern = re.compile(r"([\d.]+)(\D*)")
    first, second = pattern.fullmatch(mean), pattern.fullmatch(deviation)
    shared = first is not None and second is not None and first[2] == second[2]
    return f"{first[1] if first and shared else mean} ± {deviation}"


def ratio(before: Any, after: Any) -> float | None:
    """Return ``after / before``, or None where one is missing or ``before`` is not positive."""
    first, second = number(before), number(after)
    return None if first is None or second is None or first <= 0 else second / first
