from __future__ import annotations

import doctest
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

import pytest
import report_example
from hypothesis import given
from hypothesis import strategies as st

from netsmith.errors import BudgetError
from netsmith.report import units
from netsmith.report.limits import limits
from netsmith.report.markup import escape, tag
from netsmith.report.reproduce import reproduce
from netsmith.report.structure import structure
from netsmith.report.summary import headline, verdicts
from netsmith.report.training import training

PREFIX = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}


class Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ["markup", "scales", "trials", "units"])
def test_examples(name: str) -> None:
    outcome = doctest.testmod(import_module(f"netsmith.report.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])))
def test_any_text_is_read_back_as_text(text: str) -> None:
    read = Reader(tag("p", text, data_tip=text))
    assert read.elements == ["p"]
    assert read.text == text
    assert read.attributes == [text]


def test_what_is_escaped_is_not_escaped_again() -> None:
    assert escape(escape("<")) == "&lt;"


@given(st.floats(1e-11, 1e14))
def test_written_time_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    amount, unit = units.time(value).split(units.SPACE)
    assert float(amount) * PREFIX[unit.removesuffix("s")] == pytest.approx(value, rel=0.0051)
    assert value >= 999.5 or float(amount) < 1000


@given(st.integers(0, 10**14))
def test_written_count_is_within_half_a_unit_of_the_third_digit(value: int) -> None:
    amount, _, prefix = units.count(value).partition(units.SPACE)
    assert float(amount) * PREFIX[prefix] == pytest.approx(value, rel=0.0051)
    assert value >= 1000 or units.count(value) == str(value)


def _plain(text: str) -> str:
    return text.replace(units.SPACE, " ")


def _result(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "budget": {"macs": 0.3},
        "before": {"accuracy": 0.981, "macs": 1e6, "bytes": 400_000, "latency_s": 2.9e-3},
        "after": {"accuracy": 0.979, "macs": 297_000, "bytes": 150_000, "latency_s": 1e-3},
        "latency": {"batches": {"32": {"before": 5.0, "after": 4.0}, "1": {"before": 2.9, "after": 1.0}}},
    }
    return content | changes


def test_headline_says_what_was_asked_and_what_came_out() -> None:
    assert _plain(headline(_result())) == (
        f"MACs cut to 29.7 % (budget 30 %), accuracy 98.1 % → 97.9 %, 2.9{units.TIMES} faster at batch 1"
    )


def test_headline_of_several_limits_in_words() -> None:
    asked = headline(_result(budget={"latency": "5ms", "bytes": "200kB", "macs": "0.3"}))
    assert _plain(asked).startswith(
        "MACs cut to 29.7 % (budget 30 %), size cut to 150 kB (budget 200 kB), "
        "latency cut to 1.00 ms (budget 5 ms), accuracy"
    )


def test_headline_without_a_budget() -> None:
    assert _plain(headline(_result(budget=None, latency=None))) == (
        f"MACs cut to 29.7 %, accuracy 98.1 % → 97.9 %, 2.9{units.TIMES} faster at inference"
    )


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (2.95, "no faster at batch 1"),
        (5.8, f"2.0{units.TIMES} slower at batch 1"),
        (1.0, "faster at"),
    ],
)
def test_headline_does_not_hide_that_time_did_not_fall(after: float, words: str) -> None:
    assert words in headline(_result(latency={"batches": {"1": {"before": 2.9, "after": after}}}))


@pytest.mark.parametrize(
    ("budget", "holds"),
    [
        ({"macs": 0.3}, True),
        ({"macs": 0.297}, True),
        ({"macs": 0.296}, False),
        ({"macs": "29.7%"}, True),
        ({"bytes": "150kB"}, True),
        ({"bytes": "149kB"}, False),
        ({"bytes": 160_000}, True),
        ({"latency": "1ms"}, True),
        ({"latency": "900us"}, False),
        ({"energy": "1mJ"}, None),
        ({"params": 0.5}, None),
    ],
)
def test_budget_is_judged(budget: dict[str, Any], holds: bool | None) -> None:
    (limit,) = limits(_result(budget=budget))
    assert limit.holds is holds
    words = {True: "Budget holds", False: "Budget missed", None: "Not judged"}[holds]
    assert words in verdicts(_result(budget=budget))


def test_reached_share_shows_on_which_side_of_the_limit_it_lies() -> None:
    (limit,) = limits(_result(after={"macs": 300_200}))
    assert not limit.holds
    assert _plain(limit.reached) == "30.02 %"


def test_budget_that_no_budget_takes_is_refused() -> None:
    with pytest.raises(BudgetError, match="above zero"):
        limits(_result(budget={"macs": -1}))


def test_stages_say_what_was_lost_and_won_back() -> None:
    text = _plain(Reader(training({"stages": {"dense": 0.92, "cut": 0.61, "fine-tuned": 0.9187}})).text)
    assert "−31.00 points" in text  # noqa: RUF001
    assert "+30.87 points" in text


def test_history_is_drawn_whole_or_thinned_to_its_ends() -> None:
    history = [{"epoch": k, "loss": 1.0, "metric": 0.5} for k in range(1, 2001)]
    read = Reader(training({"history": history}))
    where = next(value for value in read.attributes if value and value.startswith("epoch 1\n"))
    assert where.endswith("epoch 2000")
    assert where.count("epoch") == 400


def test_watched_cost_carries_the_budget() -> None:
    history = [{"epoch": 1, "loss": 1.0, "metric": 0.5, "macs": 1e6}, {"epoch": 2, "macs": 3e5}]
    assert ">budget<" in training(_result(history=history))
    assert ">budget<" not in training(_result(history=history, budget={"bytes": 0.5}))


def test_structure_counts_what_changed() -> None:
    rows = report_example.layers()
    text = _plain(Reader(structure({"layers": rows})).text)
    assert "19 of 20 layers changed their width." in text
    total = sum(row["macs_before"] for row in rows)
    assert _plain(units.count(total)) in text


def test_records_and_frozen_dimensions_are_counted() -> None:
    text = Reader(structure(report_example.result())).text
    assert "11 channels removed from 3 groups of coupled channels" in text
    assert "3 dimensions could not be changed" in text


def test_own_model_needs_its_classes_to_load() -> None:
    assert "classes=[" in reproduce({"model": "nets.py:small"})
    assert "classes=[" not in reproduce({"model": "resnet20"})


def test_facts_name_the_training_and_its_time() -> None:
    text = _plain(Reader(reproduce(report_example.result())).text)
    assert "dense epochs10epochs20time7 min 12 stime, dense2 min 10 s" in text


def test_command_is_kept_letter_by_letter() -> None:
    command = "netsmith compress  --out 'a  b' --budget macs=0.3"
    assert command in Reader(reproduce({"command": command})).text
