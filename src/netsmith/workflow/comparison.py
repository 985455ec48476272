"""What a comparison gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = "comparison.html"
COMPARISON = "comparison.json"


@dataclass(kw_only=True)
class Comparison:
    """The outcome of :func:`netsmith.compare`.

    ``str()`` of it is a table of mean ± sample standard deviation over the seeds.
    """

    rows: list[dict[str, Any]]
    """One per trial: method, budget, seed, epochs, before, after, seconds (of the method)."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    """What did not finish: method, budget, seed, error; tried again on resume."""
    path: Path | None = None
    """Folder of the comparison."""

    def to_json(self) -> dict[str, Any]:
        """Return rows and failures as plain data."""
        return {"rows": self.rows, "failures": self.failures}

    def table(self) -> list[list[str]]:
        """Return a head and one line per method and budget: means with their deviations, for a screen."""
        from netsmith.report.comparison import spread_text
        from netsmith.report.quantities import ACCURACY, LATENCY, MACS
        from netsmith.report.trials import cells
        from netsmith.report.units import duration

        head = ["method", "budget", "seeds", "accuracy", MACS.label, "latency", "time"]
        return [head] + [
            [
                cell.method,
                cell.budget,
                str(cell.seeds),
                spread_text(cell.accuracy, ACCURACY.written),
                *(
                    spread_text(cell.costs.get(quantity.key), quantity.written)
                    for quantity in (MACS, LATENCY)
                ),
                spread_text(cell.seconds, duration),
            ]
            for cell in cells(self.rows)
        ]

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
