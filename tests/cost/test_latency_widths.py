from __future__ import annotations

from math import ceil
from typing import Any

import pytest
import torch
from torch import nn

from netsmith.cost.latency import LatencyTable
from netsmith.cost.shapes import OperationShape
from netsmith.cost.widths import explain, preferred_multiple, preferred_multiples
from netsmith.graph import StructureGraph, trace


class Blocks:
    """Pretends that kernels work on blocks of channels."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.asked: list[OperationShape] = []

    def hardware(self) -> dict[str, Any]:
        return {"cpu": f"blocks of {self.block}"}

    def operation(self, shape: OperationShape) -> float:
        self.asked.append(shape)
        return 1e-6 * ceil(shape.c_in / self.block) * ceil(shape.c_out / self.block) * self.block**2

    def model(self, model: nn.Module, inputs: Any) -> float:
        raise AssertionError("no whole model is needed")


def graph_of(*widths: int) -> StructureGraph:
    layers = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip((16, *widths), (*widths, 16), strict=True)]
    return trace(nn.Sequential(*layers), torch.zeros(4, 16, 8, 8))


@pytest.mark.parametrize("block", [1, 4, 8, 16, 32])
def test_the_block_is_found(block: int) -> None:
    table = LatencyTable(Blocks(block), cache=False)
    graph = graph_of(64, 96) if block == 32 else graph_of(32, 40)
    assert preferred_multiples(graph, table) == {"0.weight:0": block, "1.weight:0": block}
    assert preferred_multiple(graph, table) == block


def test_each_group_gets_its_own() -> None:
    table = LatencyTable(Blocks(16), cache=False)
    found = preferred_multiples(graph_of(12, 128), table)
    assert found["1.weight:0"] == 16
    assert found["0.weight:0"] <= 6, "a narrow group keeps a choice of widths"


def test_the_second_time_costs_nothing_and_batch_is_one() -> None:
    runner = Blocks(8)
    table = LatencyTable(runner, cache=False)
    preferred_multiples(graph_of(32, 32), table)
    first = len(runner.asked)
    preferred_multiples(graph_of(32, 32), table)
    assert len(runner.asked) == first > 0
    assert {shape.batch for shape in runner.asked} == {1}


def test_nothing_to_cut_is_a_multiple_of_one() -> None:
    graph = trace(nn.Sequential(nn.Linear(4, 2)), torch.zeros(1, 4))
    assert preferred_multiple(graph, LatencyTable(Blocks(8), cache=False)) == 1


def test_explain_speaks_only_when_time_does_not_follow() -> None:
    before = {"macs": 100.0, "latency": 2.0}
    assert explain(before, {"macs": 30.0, "latency": 0.6}) is None
    assert explain(before, {"macs": 30.0, "latency": 0.68}) is None
    assert explain(before, {"macs": 100.0, "latency": 3.0}) is None
    message = explain(before, {"macs": 30.0, "latency": 0.9})
    assert message is not None
    assert "30.0 %" in message
    assert "45.0 %" in message
    rose = explain(before, {"macs": 90.0, "latency": 2.2})
    assert rose is not None
    assert "110.0 %" in rose
