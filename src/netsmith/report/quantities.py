"""What a report compares: the quantities of ``before`` and ``after``, with their names and units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netsmith.report.units import accuracy, count, energy, number, plain, size, time


@dataclass(frozen=True)
class Quantity:
    """One measured number of a network; of all but accuracy, less is better."""

    key: str
    """Its key in ``before`` and ``after``."""
    budget: str
    """Its key in a budget; empty for what no budget limits."""
    label: str
    written: Callable[[Any], str]

    @property
    def in_sentence(self) -> str:
        """The label within a sentence; an abbreviation keeps its capitals."""
        return self.label if self.key == "macs" else self.label.lower()

    def of(self, measured: Mapping[str, Any] | None) -> float | None:
        """Return the number, or None when it was not measured."""
        return number((measured or {}).get(self.key))


ACCURACY = Quantity("accuracy", "", "Accuracy", accuracy)
MACS = Quantity("macs", "macs", "MACs", count)
LATENCY = Quantity("latency_s", "latency", "Latency", time)
COSTS = (
    MACS,
    Quantity("params", "params", "Parameters", count),
    Quantity("bytes", "bytes", "Size", size),
    LATENCY,
    Quantity("energy_j", "energy", "Energy", energy),
)
"""What a budget can limit."""
SHOWN = (
    Quantity("perplexity", "", "Perplexity", plain),
    *COSTS,
    Quantity("nonzero", "", "Non-zero parameters", count),
    Quantity("eager_s", "", "Latency in PyTorch", time),
)
"""What is set against each other before and after, beside accuracy."""
