"""The page of a comparison: methods at equal budgets, mean and spread over seeds, against every cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netsmith.report.markup import Markup, join, section, table, tag
from netsmith.report.page import document
from netsmith.report.quantities import ACCURACY, COSTS, Quantity
from netsmith.report.scatter import Point, mark, scatter
from netsmith.report.trials import (
    Cell,
    Spread,
    below_controls,
    best_in_budget,
    budgets,
    cells,
    dense,
    on_front,
    pareto_front,
)
from netsmith.report.units import MISSING, duration, spread


def render_comparison(rows: Sequence[Mapping[str, Any]], *, name: str = "") -> str:
    """Return the HTML page of a comparison.

    Arguments:
        rows: one for each trial, with ``method``, ``budget`` (a mapping or its text), ``seed``, ``epochs``,
            ``before`` and ``after`` (as in ``result.json``) and ``seconds``.
        name: what was compared, such as ``resnet20 on fashion-mnist``.

    Returns:
        A whole page, light and offline, with mean ± sample standard deviation over the seeds.
    """
    groups = cells(rows)
    sentence = comparison_headline(groups)
    head = tag("header", _eyebrow(rows, groups), tag("h1", sentence))
    parts = (_warnings(groups), _charts(rows, groups), _table(rows, groups), _reading(rows))
    return document(sentence, head, *parts, name=name)


def comparison_headline(groups: Sequence[Cell]) -> str:
    """Return who is most accurate at which budgets, and where the lead is within the spread."""
    won: dict[str, list[str]] = {}
    for budget in budgets(groups):
        winner = best_in_budget(groups, budget)
        if winner is not None:
            won.setdefault(winner.method, []).append(_victory(groups, winner))
    sentences = [f"{method} is most accurate at {' and '.join(where)}" for method, where in won.items()]
    return "; ".join(sentences) if sentences else "No trial has been measured yet"


def _victory(groups: Sequence[Cell], winner: Cell) -> str:
    """Return the budget and the accuracy reached, with the runner-up where the lead is within the spread."""
    text = f"{winner.budget} ({spread_text(winner.accuracy, ACCURACY.written)}"
    rivals = [cell for cell in groups if cell is not winner and cell.method != winner.method]
    second = best_in_budget(rivals, winner.budget)
    if second is not None and second.accuracy is not None and winner.accuracy is not None:
        lead = winner.accuracy.mean - second.accuracy.mean
        if lead <= max(winner.accuracy.deviation or 0.0, second.accuracy.deviation or 0.0):
            text += f", within the spread of {second.method}"
    return f"{text})"


def spread_text(measured: Spread | None, written: Callable[[Any], str]) -> str:
    """Return ``mean ± deviation``; the deviation only where there was more than one seed."""
    if measured is None:
        return MISSING
    mean = written(measured.mean)
    return mean if measured.deviation is None else spread(mean, written(measured.deviation))


def _eyebrow(rows: Sequence[Mapping[str, Any]], groups: Sequence[Cell]) -> Markup:
    methods, seeds = len({cell.method for cell in groups}), len({str(row.get("seed")) for row in rows})
    counted = ((methods, "method"), (seeds, "seed"))
    amounts = [f"{amount} {what}{'s' if amount != 1 else ''}" for amount, what in counted]
    return tag("p", *(tag("span", part) for part in ("comparison", *amounts)), class_="eyebrow")


def _warnings(groups: Sequence[Cell]) -> Markup:
    boxes = [tag("li", sentence) for sentence in below_controls(groups)]
    return tag("ul", *boxes, class_="warnings", aria_label="Warnings") if boxes else Markup("")


def _charts(rows: Sequence[Mapping[str, Any]], groups: Sequence[Cell]) -> Markup:
    methods = list(dict.fromkeys(cell.method for cell in groups))
    legend = [tag("span", mark(place), method) for place, method in enumerate(methods)]
    legend.append(tag("span", mark(None), "dense"))
    charts = [_chart(quantity, rows, groups, methods) for quantity in COSTS]
    shown = [chart for chart in charts if chart]
    if not shown:
        return Markup("")
    note = "Bars: one standard deviation over seeds. Thin line: the results that no other beats (Pareto)."
    return section(
        "Accuracy against cost",
        tag("p", *legend, class_="legend"),
        tag("div", *shown, class_="charts two"),
        lead=note,
    )


def _chart(
    quantity: Quantity, rows: Sequence[Mapping[str, Any]], groups: Sequence[Cell], methods: Sequence[str]
) -> Markup:
    placed = [
        _point(methods.index(cell.method), f"{cell.method}, {cell.budget}", quantity, cost, cell.accuracy)
        for cell in groups
        if (cost := cell.costs.get(quantity.key)) is not None and cell.accuracy is not None
    ]
    if not placed:
        return Markup("")
    front = pareto_front([(point.x, point.y) for point in placed])
    cost, reached = dense(rows, quantity), dense(rows, ACCURACY)
    if cost is not None and reached is not None:
        placed.append(_point(None, "dense", quantity, cost, reached))
    level = None if reached is None else (reached.mean, f"dense {ACCURACY.written(reached.mean)}")
    return scatter(
        f"Accuracy against {quantity.in_sentence}",
        placed,
        x_written=quantity.written,
        y_written=ACCURACY.written,
        front=front,
        level=level,
        ceiling=1.0,
    )


def _point(series: int | None, name: str, quantity: Quantity, cost: Spread, accuracy: Spread) -> Point:
    tip = f"{name}: {spread_text(accuracy, ACCURACY.written)} at {quantity.written(cost.mean)}"
    return Point(series, cost.mean, accuracy.mean, accuracy.deviation or 0.0, tip)


def _table(rows: Sequence[Mapping[str, Any]], groups: Sequence[Cell]) -> Markup:
    costs = [quantity for quantity in COSTS if any(quantity.key in cell.costs for cell in groups)]
    head = [
        "Method",
        "Budget",
        "Accuracy",
        *(quantity.label for quantity in costs),
        "Training",
        "Seeds",
        "Pareto",
    ]
    lines: list[list[object]] = []
    baseline = dense(rows, ACCURACY)
    if baseline is not None:
        numbers = [_mean(dense(rows, quantity), quantity) for quantity in costs]
        lines.append(["dense", "", spread_text(baseline, ACCURACY.written), *numbers, "", "", ""])
    methods = list(dict.fromkeys(cell.method for cell in groups))
    fronts = {(c.method, c.budget): front for c, front in zip(groups, on_front(groups, costs), strict=True)}
    for budget in budgets(groups):
        winner = best_in_budget(groups, budget)
        ranked = sorted((cell for cell in groups if cell.budget == budget), key=_by_accuracy)
        for cell in ranked:
            accuracy = spread_text(cell.accuracy, ACCURACY.written)
            lines.append(
                [
                    join([mark(methods.index(cell.method)), cell.method]),
                    cell.budget,
                    tag("b", accuracy, class_="best") if cell is winner else accuracy,
                    *(_mean(cell.costs.get(quantity.key), quantity) for quantity in costs),
                    MISSING if cell.seconds is None else duration(cell.seconds.mean),
                    cell.seeds,
                    front_text(fronts[cell.method, cell.budget]),
                ]
            )
    return section("Results", table(head, lines, "numbers")) if groups else Markup("")


def front_text(quantities: Sequence[Quantity]) -> str:
    """Return the costs at which a cell is on the Pareto front, for a table."""
    return ", ".join(quantity.in_sentence for quantity in quantities)


def _by_accuracy(cell: Cell) -> float:
    return -cell.accuracy.mean if cell.accuracy else 1.0


def _mean(spread: Spread | None, quantity: Quantity) -> str:
    return MISSING if spread is None else quantity.written(spread.mean)


def _reading(rows: Sequence[Mapping[str, Any]]) -> Markup:
    epochs = sorted({str(row.get("epochs")) for row in rows if row.get("epochs") is not None})
    if not epochs:
        return Markup("")
    equal = (
        f"{epochs[0]} epochs for every trial" if len(epochs) == 1 else f"unequal: {', '.join(epochs)} epochs"
    )
    words = (
        "Means over seeds, ± one sample standard deviation; costs are means. Pareto: the costs at which no "
    )
    words += "other result is both as cheap and as accurate, and better in one of the two."
    return tag("p", f"Training: {equal}. {words}", class_="note")
