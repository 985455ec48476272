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
        """Return a head, the dense network, and one line per method and budget, for a screen.

        Means with their deviations over the seeds; last, the costs at which a line is on the Pareto front.
        """
        from netsmith.report.comparison import front_text, spread_text
        from netsmith.report.quantities import ACCURACY, COSTS
        from netsmith.report.trials import cells, dense, on_front
        from netsmith.report.units import duration

        costs = [quantity for quantity in COSTS if quantity.budget != "energy"]
        head = [
            "method",
            "budget",
            "seeds",
            "accuracy",
            *(cost.in_sentence for cost in costs),
            "time",
            "pareto",
        ]
        measured = [
            spread_text(dense(self.rows, quantity), quantity.written) for quantity in (ACCURACY, *costs)
        ]
        lines = [head, ["dense", "", str(len({row["seed"] for row in self.rows})), *measured, "", ""]]
        groups = cells(self.rows)
        for cell, front in zip(groups, on_front(groups, costs), strict=True):
            numbers = [spread_text(cell.costs.get(cost.key), cost.written) for cost in costs]
            lines.append(
                [
                    cell.method,
                    cell.budget,
                    str(cell.seeds),
                    spread_text(cell.accuracy, ACCURACY.written),
                    *numbers,
                    spread_text(cell.seconds, duration),
                    front_text(front),
                ]
            )
        return lines

    def warnings(self) -> list[str]:
        """Return a sentence for each method that does not beat a control at a budget."""
        from netsmith.report.trials import below_controls, cells

        return below_controls(cells(self.rows))

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
