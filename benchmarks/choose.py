"""Which method for which need, from runs: writes docs/choose.md.

    python benchmarks/choose.py runs/digits/comparison.json scoreboard.json

Reads what `netsmith compare --out runs/digits` leaves as comparison.json, and the results file of
scoreboard.py; every sentence of the page is counted from them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netsmith.report.comparison import spread_text
from netsmith.report.quantities import ACCURACY
from netsmith.report.trials import CONTROLS, Cell, below_controls, best_in_budget, budgets, cells
from netsmith.report.units import duration

PAGE = Path(__file__).parents[1] / "docs" / "choose.md"
HEAD = """# Which method

Counted from runs by `benchmarks/choose.py`; do not edit by hand. Accuracy is mean ± sample standard deviation
over seeds, on held-out data; a lead within the spread is no lead.
"""


def runs_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of one results file, by what was compared on."""
    content = json.loads(path.read_text())
    if "rows" in content:
        identity = path.with_name("run.json")
        settings = json.loads(identity.read_text()) if identity.exists() else {}
        name = f"{settings['model']} on {settings['data']}" if settings else path.parent.name
        return {name: content["rows"]}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, measured in content.items():
        data, share, method, seed = key.split("|")
        if method != "dense":
            after = {"accuracy": measured["accuracy"] / 100}
            row = {"method": method, "budget": f"macs={share}", "seed": int(seed), "after": after}
            found[f"resnet20 on {data}"].append(row | {"seconds": measured.get("seconds")})
    return dict(found)


def page(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the page: who is most accurate, who is cheapest among the equally good, who beats no control."""
    parts = [HEAD]
    for name, rows in runs.items():
        groups = cells(rows)
        lines = [_line(groups, budget) for budget in budgets(groups)]
        head = (
            "| budget | most accurate | as good, within its spread | of these the cheapest to train | seeds |"
        )
        below = [f"- {sentence}" for sentence in below_controls(groups)]
        parts.append("\n".join([f"## {name}", "", head, "|---|---|---|---|---|", *lines]))
        parts.append("\n".join(below or ["Every method beats the controls that were run."]))
        parts.append(_training(rows, groups))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _line(groups: Sequence[Cell], budget: str) -> str:
    winner = best_in_budget(groups, budget)
    if winner is None or winner.accuracy is None:
        return f"| {budget} | nothing measured | | | |"
    reach = winner.accuracy.mean - (winner.accuracy.deviation or 0.0)
    good = [c for c in groups if c.budget == budget and c.accuracy and c.accuracy.mean >= reach]
    others = ", ".join(cell.method for cell in good if cell is not winner) or "none"
    timed = [cell for cell in good if cell.seconds is not None]
    cheapest = min(timed, key=lambda cell: cell.seconds.mean if cell.seconds else 0.0, default=None)
    cost = f"{cheapest.method}, {duration(cheapest.seconds.mean)}" if cheapest and cheapest.seconds else ""
    best = f"{winner.method}, {spread_text(winner.accuracy, ACCURACY.written)}"
    return f"| {budget} | {best} | {others} | {cost} | {winner.seeds} |"


def _training(rows: Sequence[Mapping[str, Any]], groups: Sequence[Cell]) -> str:
    epochs = sorted({str(row["epochs"]) for row in rows if row.get("epochs") is not None})
    ran = {cell.method for cell in groups}
    words = [f"Epochs after the dense network: {' and '.join(epochs)}."] if epochs else []
    if any(cell.seeds == 1 for cell in groups):
        words.append("Where there is one seed, no spread is known and no order is proved.")
    missing = [control for control in CONTROLS if control not in ran]
    if missing:
        words.append(f"Control not run: {', '.join(missing)}.")
    return " ".join([*words, f"Methods: {', '.join(sorted(ran))}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in options.results:
        for name, rows in runs_of(path).items():
            runs[name] += rows
    options.out.write_text(page(runs))
    print(options.out)


if __name__ == "__main__":
    main()
