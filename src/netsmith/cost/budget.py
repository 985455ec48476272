"""A budget: what the model may cost, in the user's own units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from netsmith.errors import BudgetError, UnknownNameError

UNIT_FACTORS: dict[str, dict[str, float]] = {
    "macs": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12},
    "params": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9},
    "bytes": {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30},
    "latency": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6},
    "energy": {"j": 1.0, "mj": 1e-3, "uj": 1e-6, "µj": 1e-6, "nj": 1e-9},
}
Amount = float | int | str


@dataclass(frozen=True)
class Budget:
    """Limits on what a model may cost; several at once all hold.

    Each limit is a share of what the model costs now (a number in (0, 1]), an absolute number (above 1), or
    a string with a unit: ``"200kB"`` (1 kB = 1000 bytes, 1 KiB = 1024), ``"5ms"``, ``"12M"``, ``"3mJ"``,
    ``"30%"``. Latency and energy in absolute terms need a unit, so that 0.005 cannot be mistaken.

    Raises:
        BudgetError: a limit that is negative, zero, not finite, without a needed unit or with an unknown one.

    Example:
        >>> Budget(macs=0.3, bytes="200kB").limits({"macs": 1e6, "bytes": 1e6})
        {'macs': 300000.0, 'bytes': 200000.0}
    """

    macs: Amount | None = None
    params: Amount | None = None
    bytes: Amount | None = None
    latency: Amount | None = None
    energy: Amount | None = None

    def __post_init__(self) -> None:
        if not self.kinds:
            raise BudgetError(
                f"a budget needs at least one of {', '.join(UNIT_FACTORS)}; for example macs=0.3"
            )
        for kind in self.kinds:
            _read(kind, getattr(self, kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of cost that are limited."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    @property
    def is_relative(self) -> bool:
        """Whether any limit is a share of the present cost."""
        return any(_read(kind, getattr(self, kind))[1] for kind in self.kinds)

    def limits(self, now: Mapping[str, float]) -> dict[str, float]:
        """Return the limits as absolute numbers, given what the model costs now."""
        limits = {}
        for kind in self.kinds:
            value, relative = _read(kind, getattr(self, kind))
            limits[kind] = value * now[kind] if relative else value
        return limits

    def holds(self, cost: Mapping[str, float], now: Mapping[str, float]) -> bool:
        """Whether a cost keeps within every limit."""
        return all(cost[kind] <= limit * (1 + 1e-12) for kind, limit in self.limits(now).items())

    def to_json(self) -> dict[str, Amount]:
        """Return the limits as given."""
        return {kind: getattr(self, kind) for kind in self.kinds}

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``"macs=0.3,latency=5ms"``.

        Raises:
            BudgetError: no ``kind=amount`` pair, or a kind given twice.
            UnknownNameError: a kind nobody knows, with the nearest ones.
        """
        limits: dict[str, Amount] = {}
        for part in text.split(","):
            kind, equals, amount = (piece.strip() for piece in part.partition("="))
            if not equals or not amount:
                raise BudgetError(f"cannot read budget {part!r}; write kind=amount, for example macs=0.3")
            if kind not in UNIT_FACTORS:
                raise UnknownNameError("budget", kind, UNIT_FACTORS)
            if kind in limits:
                raise BudgetError(f"budget {kind} is given twice in {text!r}")
            limits[kind] = amount
        return cls(**limits)


def _read(kind: str, amount: Amount) -> tuple[float, bool]:
    """Return a limit as (number, whether it is a share)."""
    text = str(amount).strip()
    found = re.fullmatch(
        r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?nan|[-+]?inf)\s*([a-zA-Zµ%]*)", text
    )
    if isinstance(amount, bool) or found is None:
        raise BudgetError(f"budget {kind}={amount!r} is not an amount; {_example(kind)}")
    value, unit = float(found.group(1)), found.group(2).lower()
    if not math.isfinite(value) or value <= 0:
        raise BudgetError(f"budget {kind}={amount} must be a finite amount above zero; {_example(kind)}")
    if unit == "%" or (not unit and value <= 1):
        share = value / 100 if unit else value
        if share > 1:
            raise BudgetError(f"budget {kind}={amount} is above the model's present cost; {_example(kind)}")
        return share, True
    if unit not in UNIT_FACTORS[kind]:
        wanted = ", ".join(name for name in UNIT_FACTORS[kind] if name)
        given = f"unit {found.group(2)!r}" if unit else "no unit"
        raise BudgetError(
            f"budget {kind}={amount} has {given}; a share is at most 1, an amount takes {wanted}"
        )
    return value * UNIT_FACTORS[kind][unit], False


def _example(kind: str) -> str:
    amounts = {"macs": "12M", "params": "250k", "bytes": "200kB", "latency": "5ms", "energy": "3mJ"}
    return f"for example {kind}=0.3 (a share of the present cost) or {kind}={amounts[kind]}"
