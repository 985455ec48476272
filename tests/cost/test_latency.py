from __future__ import annotations

import json
from math import ceil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netsmith.cost.latency import LatencyTable
from netsmith.cost.latency_file import read
from netsmith.cost.shapes import OperationShape
from netsmith.errors import BudgetError, FileError
from netsmith.graph import StructureGraph, trace


class Runner:
    """Pretends to measure: a formula in place of a clock."""

    def __init__(self, formula: Any = None, **hardware: Any) -> None:
        self.formula = formula or (lambda shape: 1e-9 * (shape.macs + 7 * shape.c_out + 100))
        self.known = {"cpu": "abacus", "threads": 1, **hardware}
        self.asked: list[OperationShape] = []

    def hardware(self) -> dict[str, Any]:
        return self.known

    def operation(self, shape: OperationShape) -> float:
        self.asked.append(shape)
        return float(self.formula(shape))

    def model(self, model: nn.Module, inputs: Any) -> float:
        return 1.0


def conv(c_in: int, c_out: int, groups: int = 1) -> OperationShape:
    size = {"spatial": (8, 8), "out_spatial": (8, 8), "kernel": (3, 3), "stride": (1, 1)}
    return OperationShape("conv", 2, c_in, c_out, groups, False, padding=(1, 1), dilation=(1, 1), **size)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 24, 1, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


@pytest.fixture
def graph() -> StructureGraph:
    return trace(net(), torch.zeros(2, 3, 8, 8))


def test_network_is_constant_plus_operations(graph: StructureGraph) -> None:
    runner = Runner()
    table = LatencyTable(runner, cache=False)
    assert table.constant(graph) == 0
    assert table.calibrate(graph, net(), torch.zeros(2, 3, 8, 8)) == 1.0
    assert table.latency(graph) == pytest.approx(1.0, rel=1e-12)
    shapes = [OperationShape.of(op, graph.widths(op)) for op in graph.operations]
    expected = sum(runner.formula(shape) for shape in shapes if shape)
    assert table.constant(graph) == pytest.approx(1.0 - expected, rel=1e-12)
    assert sum(shape is not None for shape in shapes) == 4


def test_a_cut_changes_producers_and_readers(graph: StructureGraph) -> None:
    runner = Runner()
    table = LatencyTable(runner, cache=False)
    keep = {"0.weight:0": torch.arange(16) < 5}
    times = {op.module: table(graph, op, keep) for op in graph.operations}
    assert times["0"] == pytest.approx(runner.formula(conv(3, 5)))
    assert times["3"] == pytest.approx(runner.formula(conv(5, 5, groups=5)))
    assert times["1"] == 0
    widths = {(shape.c_in, shape.c_out) for shape in runner.asked}
    assert (5, 24) in widths


def test_everything_is_measured_once(graph: StructureGraph) -> None:
    runner = Runner()
    table = LatencyTable(runner, cache=False)
    assert table.latency(graph) == table.latency(graph)
    assert len(runner.asked) == len(set(runner.asked)) == 4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 45), st.sampled_from([4, 8, 16]))
def test_grid_interpolates_what_is_linear_in_both_widths(c_in: int, c_out: int, grid: int) -> None:
    def bilinear(shape: OperationShape) -> float:
        return 1e-6 * (5 + 2 * shape.c_in + 3 * shape.c_out + 0.5 * shape.c_in * shape.c_out)

    model = nn.Sequential(nn.Conv2d(3, 30, 1), nn.Conv2d(30, 45, 3, padding=1), nn.Conv2d(45, 2, 1))
    traced = trace(model, torch.zeros(2, 3, 8, 8))
    runner = Runner(bilinear)
    table = LatencyTable(runner, grid=grid, cache=False)
    keep = {"0.weight:0": torch.arange(30) < c_in, "1.weight:0": torch.arange(45) < c_out}
    middle = next(op for op in traced.operations if op.module == "1")
    assert table(traced, middle, keep) == pytest.approx(bilinear(conv(c_in, c_out)), rel=1e-12)
    points = {1, 30, 45, *range(grid, 46, grid)}
    assert all(shape.c_in in points and shape.c_out in points for shape in runner.asked)


def test_a_jump_between_grid_points_is_measured() -> None:
    blocks = Runner(lambda shape: 1e-3 * ceil(shape.c_out / 16))
    model = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 2, 1))
    traced = trace(model, torch.zeros(2, 3, 8, 8))
    table = LatencyTable(blocks, grid=8, cache=False)
    first = next(op for op in traced.operations if op.module == "0")
    assert table(traced, first, {"0.weight:0": torch.arange(64) < 17}) == 2e-3
    assert table(traced, first, {"0.weight:0": torch.arange(64) < 33}) == 3e-3


def test_grid_of_a_grouped_convolution_keeps_its_groups() -> None:
    model = nn.Sequential(nn.Conv2d(3, 24, 1), nn.Conv2d(24, 24, 3, padding=1, groups=3), nn.Conv2d(24, 2, 1))
    traced = trace(model, torch.zeros(2, 3, 8, 8))
    runner = Runner()
    table = LatencyTable(runner, grid=8, cache=False)
    for operation in traced.operations:
        for group in traced.groups:
            table(traced, operation, {group.name: torch.arange(group.size) < group.size - 1})
    assert all(shape.c_in % shape.groups == 0 and shape.c_out % shape.groups == 0 for shape in runner.asked)


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_files_keep_everything(graph: StructureGraph, tmp_path: Any, ending: str) -> None:
    table = LatencyTable(Runner(), cache=False)
    table.calibrate(graph, net(), torch.zeros(2, 3, 8, 8))
    expected = table.latency(graph)
    table.save(tmp_path / f"table.{ending}")
    silent = Runner(lambda shape: pytest.fail("measured again"))
    again = LatencyTable.load(tmp_path / f"table.{ending}", silent)
    assert again.latency(graph) == expected
    assert again.entries == table.entries
    assert again.networks == table.networks


def test_other_hardware_is_refused_with_what_differs(graph: StructureGraph, tmp_path: Any) -> None:
    path = tmp_path / "table.json"
    table = LatencyTable(Runner(), cache=False)
    expected = table.latency(graph)
    table.save(path)
    with pytest.raises(FileError, match=r"threads 1 there and 4 here"):
        LatencyTable.load(path, Runner(threads=4))
    foreign = LatencyTable.load(path, Runner(threads=4), elsewhere=True)
    assert foreign.latency(graph) == expected
    assert foreign.hardware["threads"] == 1
    with pytest.raises(BudgetError, match="abacus and cannot measure"):
        foreign.calibrate(graph, net(), torch.zeros(2, 3, 8, 8))


def test_a_foreign_table_says_what_it_lacks(graph: StructureGraph, tmp_path: Any) -> None:
    table = LatencyTable(Runner(), cache=False)
    table.latency(graph)
    table.save(tmp_path / "table.csv")
    foreign = LatencyTable.load(tmp_path / "table.csv", elsewhere=True)
    with pytest.raises(BudgetError, match=r"for another input size: it holds .*in=8x8.*not .*in=16x16"):
        foreign.latency(trace(net(), torch.zeros(2, 3, 16, 16)))
    with pytest.raises(BudgetError, match=r"holds no time for conv .* with 3 channels in and 7 out"):
        foreign.latency(graph, {"0.weight:0": torch.arange(16) < 7})


@pytest.mark.parametrize("seconds", [0.0, -1e-3, float("nan"), float("inf")])
def test_times_that_are_not_positive_are_refused(
    graph: StructureGraph, tmp_path: Any, seconds: float
) -> None:
    with pytest.raises(FileError, match="expected a positive number"):
        LatencyTable(Runner(lambda shape: seconds), cache=False).latency(graph)
    table = LatencyTable(Runner(), cache=False)
    table.latency(graph)
    table.entries[next(iter(table.entries))] = seconds
    table.save(tmp_path / "table.json")
    with pytest.raises(FileError, match="expected a positive number"):
        LatencyTable.load(tmp_path / "table.json", Runner())


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_damaged_files_are_refused(graph: StructureGraph, tmp_path: Any, ending: str) -> None:
    path = tmp_path / f"table.{ending}"
    table = LatencyTable(Runner(), cache=False)
    table.latency(graph)
    table.save(path)
    whole = path.read_text()
    for text in (
        whole[: len(whole) // 3].rstrip("0123456789"),
        "",
        "[]",
        whole.replace("latency", "lateness"),
    ):
        path.write_text(text)
        with pytest.raises(FileError):
            read(path)
    with pytest.raises(FileError, match="cannot be read"):
        read(tmp_path / "none.json")
    with pytest.raises(FileError, match=r"written as \.json or \.csv"):
        table.save(tmp_path / "table.txt")


def test_cache_is_kept_by_hardware(
    graph: StructureGraph, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSMITH_CACHE", str(tmp_path / "cache"))
    first = LatencyTable(Runner())
    expected = first.latency(graph)
    silent = Runner(lambda shape: pytest.fail("measured again"))
    assert LatencyTable(silent).latency(graph) == expected
    other = Runner(threads=2)
    LatencyTable(other).latency(graph)
    assert len(other.asked) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_cache_that_cannot_be_read_is_replaced(
    graph: StructureGraph, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSMITH_CACHE", str(tmp_path))
    path = LatencyTable(Runner()).path
    assert path is not None
    path.write_text("{")
    LatencyTable(Runner()).latency(graph)
    assert len(json.loads(path.read_text())["entries"]) == 4


def test_grid_below_one_is_refused() -> None:
    with pytest.raises(BudgetError, match="grid is 0"):
        LatencyTable(Runner(), grid=0, cache=False)
