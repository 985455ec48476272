from __future__ import annotations

import statistics

import report_example
from hypothesis import given
from hypothesis import strategies as st

from netsmith.report import render_comparison
from netsmith.report.comparison import comparison_headline
from netsmith.report.quantities import ACCURACY, LATENCY, MACS
from netsmith.report.trials import (
    best_in_budget,
    budget_text,
    cells,
    dense,
    not_above,
    on_front,
    pareto_front,
)

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(POINTS)
def test_front_is_what_no_other_point_beats(points: list[tuple[int, int]]) -> None:
    def beaten(point: tuple[int, int]) -> bool:
        cost, accuracy = point
        return any(c <= cost and a >= accuracy and (c, a) != point for c, a in points)

    assert pareto_front(points) == sorted({point for point in points if not beaten(point)})


def test_trials_are_gathered_with_mean_and_sample_deviation() -> None:
    rows = report_example.trials()
    groups = cells(rows)
    assert [(cell.method, cell.budget, cell.seeds) for cell in groups[:2]] == [
        ("deephoyer", "macs=0.5", 3),
        ("magnitude", "macs=0.5", 3),
    ]
    values = [row["after"]["accuracy"] for row in rows[:3]]
    assert groups[0].accuracy is not None
    assert groups[0].accuracy.mean == statistics.fmean(values)
    assert groups[0].accuracy.deviation == statistics.stdev(values)


def test_dense_counts_each_seed_once() -> None:
    reached = dense(report_example.trials(), ACCURACY)
    assert reached is not None
    assert reached.mean == statistics.fmean([0.92, 0.921, 0.922])


def test_budget_is_the_same_as_mapping_and_as_text() -> None:
    assert budget_text({"macs": 0.3, "latency": "5ms", "bytes": None}) == budget_text("macs=0.3,latency=5ms")


def test_headline_names_the_winner_of_each_budget() -> None:
    words = comparison_headline(cells(report_example.trials())).replace("\u202f", " ")
    assert words == "deephoyer is most accurate at macs=0.5 (91.80 ± 0.15 %) and macs=0.25 (90.00 ± 0.15 %)"


def test_headline_owns_up_to_a_lead_within_the_spread() -> None:
    rows = [
        {"method": method, "budget": "macs=0.5", "seed": seed, "after": {"accuracy": accuracy + 0.01 * seed}}
        for method, accuracy in (("a", 0.90), ("b", 0.895))
        for seed in range(2)
    ]
    assert "within the spread of b" in comparison_headline(cells(rows))


def test_method_no_better_than_random_is_named() -> None:
    rows = report_example.trials()
    for row in rows:
        if row["method"] == "magnitude":
            row["after"]["accuracy"] = 0.8
    assert {cell.method for cell in not_above(cells(rows), "random")} == {"magnitude"}
    assert (
        "magnitude at macs=0.25 is not more accurate than removing channels at random"
        in render_comparison(rows)
    )


def test_method_no_better_than_training_from_scratch_is_named() -> None:
    rows = [
        {"method": method, "budget": "macs=0.5", "seed": 0, "after": {"accuracy": accuracy}}
        for method, accuracy in (("a", 0.9), ("b", 0.8), ("scratch", 0.85), ("random", 0.7))
    ]
    assert [cell.method for cell in not_above(cells(rows), "scratch")] == ["b"]
    page = render_comparison(rows)
    assert "b at macs=0.5 is not more accurate than a narrower network trained from scratch" in page


def test_front_is_marked_for_each_cost() -> None:
    measured = {"a": (0.9, 10, 1.0), "b": (0.8, 5, 2.0), "c": (0.7, 7, 3.0)}
    rows = [
        {"method": method, "budget": "m", "seed": 0, "after": {"accuracy": a, "macs": m, "latency_s": s}}
        for method, (a, m, s) in measured.items()
    ]
    fronts = on_front(cells(rows), (MACS, LATENCY))
    assert fronts == [[MACS, LATENCY], [MACS], []]
    assert "MACs, latency" in render_comparison(rows)


def test_unequal_training_is_said() -> None:
    rows = report_example.trials()
    assert "30 epochs for every trial" in render_comparison(rows)
    rows[0]["epochs"] = 60
    assert "unequal: 30, 60 epochs" in render_comparison(rows)


def test_best_ignores_what_was_not_measured() -> None:
    rows = [
        {"method": "a", "budget": "x", "after": None},
        {"method": "b", "budget": "x", "after": {"accuracy": 0.1}},
    ]
    best = best_in_budget(cells(rows), "x")
    assert best is not None
    assert best.method == "b"


def test_page_without_trials_says_so() -> None:
    assert "No trial has been measured yet" in render_comparison([])


def test_trial_without_accuracy_is_a_dash_and_no_point() -> None:
    page = render_comparison([{"method": "a", "budget": "macs=0.5", "seed": 0, "after": {"macs": 5}}])
    assert 'class="point"' not in page
    assert "No trial has been measured yet" in page


def test_names_of_methods_stay_text() -> None:
    rows = [row | {"method": f"<b>{row['method']}</b>"} for row in report_example.trials()]
    assert "<b>deephoyer" not in render_comparison(rows, name="<b>")
