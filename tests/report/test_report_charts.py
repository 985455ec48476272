from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsmith.report.bars import pair, share
from netsmith.report.lines import Line, Stage, line_chart
from netsmith.report.scales import scale
from netsmith.report.scatter import COLOURS, mark

VALUES = st.lists(st.floats(-1e12, 1e12).map(lambda x: 0.0 if abs(x) < 1e-9 else x), min_size=1, max_size=20)


@given(VALUES, st.booleans())
def test_axis_holds_its_values_on_even_ticks(values: list[float], zero: bool) -> None:
    axis = scale(values, zero=zero)
    slack = 1e-6
    assert all(-slack <= axis.at(value) <= 100 + slack for value in values)
    steps = [high - low for low, high in zip(axis.ticks, axis.ticks[1:], strict=False)]
    assert 1 <= len(steps) <= 8
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)
    if zero:
        assert axis.low <= 0


@given(st.lists(st.floats(0, 1), min_size=1))
def test_axis_of_shares_does_not_pass_one(values: list[float]) -> None:
    assert scale(values, ceiling=1.0).high <= 1 + 1e-9


def test_axis_of_nothing_is_an_axis() -> None:
    assert scale([]).at(0.5) == 100


def _points(chart: str) -> list[tuple[float, float]]:
    path = re.search(r'class="curve" d="([^"]*)"', chart)
    assert path
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path[1])]


def test_curve_goes_through_its_values() -> None:
    chart = line_chart(Line("Loss", [0.0, 1.0, 0.5, 0.25], str, zero=True))
    assert _points(chart) == [(12.5, 100.0), (37.5, 0.0), (62.5, 50.0), (87.5, 75.0)]


def test_curve_breaks_where_nothing_was_measured() -> None:
    chart = line_chart(Line("Loss", [0.0, None, 1.0, None], str))
    path = re.search(r'class="curve" d="([^"]*)"', chart)
    assert path
    assert path[1].count("M") == 2
    assert "L" not in path[1]


def test_stages_cover_the_chart() -> None:
    chart = line_chart(Line("Loss", [1.0] * 4, str), [Stage("a", 0, 1), Stage("b", 1, 4)], names=True)
    bands = re.findall(r'x="([\d.]+)" width="([\d.]+)"', chart)
    assert [(float(left), float(width)) for left, width in bands] == [(0.0, 25.0), (25.0, 75.0)]


def test_limit_outside_the_values_is_in_the_chart() -> None:
    chart = line_chart(Line("MACs", [0.9, 0.8], str, limit=0.1, limit_name="budget"))
    assert re.search(r'class="limit" d="M0 ([\d.]+)H100"', chart)


@pytest.mark.parametrize(
    ("value", "full", "length"), [(1, 2, "50%"), (3, 2, "100%"), (-1, 2, "0%"), (1, 0, "0%")]
)
def test_share_of_a_bar(value: float, full: float, length: str) -> None:
    assert share(value, full) == length


def test_bar_of_what_was_not_measured_is_empty() -> None:
    assert pair(None, None, 1.0) == '<i class="bar"></i>'


def test_forty_series_look_different() -> None:
    assert len({mark(series) for series in range(5 * COLOURS)}) == 5 * COLOURS
