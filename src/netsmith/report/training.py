"""Accuracy against cost while training: small charts over the same epochs, and where accuracy was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netsmith.report.bars import pair
from netsmith.report.limits import limits
from netsmith.report.lines import Line, Stage, line_chart
from netsmith.report.markup import Markup, join, section, table, tag
from netsmith.report.quantities import ACCURACY, COSTS, Quantity
from netsmith.report.sensitivity import sensitivity
from netsmith.report.units import count, number, percent, points, significant

NOT_CURVES = frozenset({"stage", "epoch", "loss", "penalty", "metric", "learning_rate", "seconds"})
MOST_EPOCHS = 400
"""Longer runs are thinned, so that the page stays light."""
MOST_STAGES = 25
"""More stages than this are bands too narrow to read."""


def training(result: Mapping[str, Any]) -> Markup:
    """Return the section, or nothing when there is neither a history nor stages."""
    return section(
        "Accuracy and cost while training", where_accuracy_went(result), sensitivity(result), curves(result)
    )


def curves(result: Mapping[str, Any]) -> Markup:
    """Return one chart each for the metric, the loss, the penalty and everything that was watched."""
    history = _thinned([row for row in result.get("history") or () if isinstance(row, Mapping)])
    if not history:
        return Markup("")
    lines = [line for line in _lines(history, result) if any(value is not None for value in line.values)]
    stages = _stages(history)
    charts = [line_chart(line, stages, names=bool(stages) and k == 0) for k, line in enumerate(lines)]
    where = "\n".join(_where(row, step) for step, row in enumerate(history))
    first, last = _where(history[0], 0), _where(history[-1], len(history) - 1)
    axis = tag("p", tag("span", first), tag("span", last), class_="epochs")
    return tag(
        "div", tag("div", *charts, class_="charts", data_where=where), axis if len(history) > 1 else ""
    )


def _lines(history: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> list[Line]:
    def values(key: str) -> list[float | None]:
        return [number(row.get(key)) for row in history]

    metric = values("metric")
    is_share = all(value is None or 0 <= value <= 1 for value in metric)
    ceiling = 1.0 if is_share else None
    accuracy = Line(
        "Accuracy" if is_share else "Metric", metric, percent if is_share else _plain, ceiling=ceiling
    )
    lines = [accuracy, *(_watched(key, values(key), result) for key in _watched_keys(history))]
    lines.append(Line("Loss", values("loss"), _plain, zero=True))
    penalty = values("penalty")
    if any(penalty):
        lines.append(Line("Penalty", penalty, _plain, zero=True))
    return lines


def _watched_keys(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what else is a number in the history: costs first, in the order of the quantities."""
    found = {key for row in history for key, value in row.items() if number(value) is not None} - NOT_CURVES
    order = {key: place for place, quantity in enumerate(COSTS) for key in (quantity.budget, quantity.key)}
    return sorted(found, key=lambda key: (order.get(key, len(order)), key))


def _watched(key: str, values: list[float | None], result: Mapping[str, Any]) -> Line:
    quantity = next((quantity for quantity in COSTS if key in (quantity.budget, quantity.key)), None)
    known = [value for value in values if value is not None]
    is_share = max(known) <= 1.0 and (quantity is None or quantity.budget in ("macs", "params", "bytes"))
    limit = _limit(quantity, is_share, result) if quantity else None
    written = percent if is_share else quantity.written if quantity else _plain
    title = quantity.label if quantity else key
    return Line(title, values, written, zero=True, limit=limit, limit_name="budget")


def _limit(quantity: Quantity, is_share: bool, result: Mapping[str, Any]) -> float | None:
    """Return the budget in the unit of the curve: a share of the original, or absolute."""
    limit = next((limit for limit in limits(result) if limit.quantity is quantity), None)
    if limit is None:
        return None
    return limit.fraction if is_share else limit.absolute


def _plain(value: Any) -> str:
    amount = number(value)
    return count(value) if amount is None or abs(amount) >= 999.5 else significant(amount)


def _thinned(history: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(history) <= MOST_EPOCHS:
        return history
    last = len(history) - 1
    return [history[round(k * last / (MOST_EPOCHS - 1))] for k in range(MOST_EPOCHS)]


def _stages(history: Sequence[Mapping[str, Any]]) -> list[Stage]:
    stages: list[Stage] = []
    for step, row in enumerate(history):
        name = str(row.get("stage") or "")
        if stages and stages[-1].name == name:
            stages[-1] = Stage(name, stages[-1].first, step + 1)
        else:
            stages.append(Stage(name, step, step + 1))
    named = any(stage.name for stage in stages)
    return stages if named and len(stages) <= MOST_STAGES else []


def _where(row: Mapping[str, Any], step: int) -> str:
    epoch = row.get("epoch", step + 1)
    words = f"{row['stage']}, epoch {epoch}" if row.get("stage") else f"epoch {epoch}"
    return " ".join(words.split())


def where_accuracy_went(result: Mapping[str, Any]) -> Markup:
    """Return the accuracy after each stage, with what it lost or brought back."""
    stages = result.get("stages")
    reached = (
        [(str(name), number(value)) for name, value in stages.items()] if isinstance(stages, Mapping) else []
    )
    known = [(name, value) for name, value in reached if value is not None]
    if len(known) < 2:
        return Markup("")
    rows: list[list[object]] = []
    previous: float | None = None
    for name, value in known:
        change = "" if previous is None else f"{points(value - previous)} points"
        rows.append([name, join([pair(None, value, 1.0), ACCURACY.written(value)]), change])
        previous = value
    return join(
        [tag("h3", "Where accuracy was lost and won back"), table(["", "Accuracy", "Change"], rows, "steps")]
    )
