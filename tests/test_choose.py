"""The page that says which method to choose is counted from results files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

CHOOSE = Path(__file__).parents[1] / "benchmarks" / "choose.py"


@pytest.fixture(scope="module")
def choose():
    return runpy.run_path(str(CHOOSE))


def row(method, accuracy, seed, seconds):
    after = {"accuracy": accuracy}
    row = {"method": method, "budget": "macs=0.5", "seed": seed, "after": after}
    return row | {"seconds": seconds, "epochs": 2}


def test_page_names_the_best_the_equally_good_and_who_beats_no_control(choose, tmp_path):
    reached = {
        "a": (0.90, 0.92, 60.0),
        "b": (0.905, 0.905, 20.0),
        "c": (0.7, 0.7, 1.0),
        "random": (0.8, 0.8, 5.0),
    }
    rows = [
        row(method, accuracy, seed, seconds)
        for method, (*pair, seconds) in reached.items()
        for seed, accuracy in enumerate(pair)
    ]
    (tmp_path / "comparison.json").write_text(json.dumps({"rows": rows, "failures": []}))
    (tmp_path / "run.json").write_text(json.dumps({"model": "net", "data": "digits"}))
    page = choose["page"](choose["runs_of"](tmp_path / "comparison.json")).replace("\u202f", " ")
    assert "## net on digits" in page
    (line,) = [line for line in page.splitlines() if line.startswith("| macs=0.5 ")]
    assert [cell.strip() for cell in line.split("|")[1:6]] == [
        "macs=0.5",
        "a, 91.00 ± 1.41 %",
        "b",
        "b, 20.0 s",
        "2",
    ]
    assert "- c at macs=0.5 is not more accurate than removing channels at random." in page
    assert "Control not run: scratch." in page


def test_results_of_the_scoreboard_are_read(choose, tmp_path):
    results = {
        "digits|1|dense|0": {"accuracy": 99.0},
        "digits|0.5|magnitude|0": {"accuracy": 98.0, "seconds": 3.0},
        "digits|0.5|tp-magnitude|0": {"accuracy": 97.0, "seconds": 3.0},
    }
    (tmp_path / "scoreboard.json").write_text(json.dumps(results))
    page = choose["page"](choose["runs_of"](tmp_path / "scoreboard.json"))
    assert "## resnet20 on digits" in page
    assert "| macs=0.5 | magnitude, 98" in page
    assert "dense," not in page
