from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netsmith.cost.counting import Cost
from netsmith.cost.energy import EnergyTable
from netsmith.cost.shapes import OperationShape
from netsmith.errors import BudgetError
from netsmith.graph import trace


def test_known_value_of_a_linear_layer() -> None:
    shape = OperationShape("linear", batch=3, c_in=100, c_out=20)
    macs = 3 * 100 * 20 * (3.7 + 0.9)
    weights = (100 * 20 + 20) / 2 * 1950
    activations = 3 * (100 + 20) / 2 * 10
    assert EnergyTable().joules(shape) == pytest.approx((macs + weights + activations) * 1e-12, rel=1e-12)


def test_known_value_of_a_convolution() -> None:
    size = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    shape = OperationShape("conv", 2, 8, 16, 4, spatial=(64, 64), out_spatial=(32, 32), **size)
    macs = 2 * 32 * 32 * 9 * (8 // 4) * 16
    read, written = 8 * 64 * 64, 16 * 32 * 32  # bytes in int8: 32 KiB fit 32 KiB, 16 KiB too
    joules = macs * 0.23 + (9 * 2 * 16 + 16) / 8 * 1950 + 2 * (read + written) / 8 * 20
    assert shape.macs == macs
    assert EnergyTable("int8").joules(shape) == pytest.approx(joules * 1e-12, rel=1e-12)
    wide = OperationShape("conv", 2, 8, 16, 4, spatial=(65, 64), out_spatial=(32, 32), **size)
    more = (65 * 64 * 8 / 8 * 100 - 64 * 64 * 8 / 8 * 20) * 2
    assert EnergyTable("int8").joules(wide) == pytest.approx((joules + more) * 1e-12, rel=1e-9)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 8))
def test_less_is_cheaper(c_in: int, c_out: int, batch: int) -> None:
    def joules(precision: str, fewer: int) -> float:
        shape = OperationShape("linear", batch, c_in, c_out + 1 - fewer)
        return EnergyTable(precision).joules(shape)  # type: ignore[arg-type]

    assert joules("float32", 1) < joules("float32", 0)
    assert joules("int8", 0) < joules("float16", 0) < joules("float32", 0)


def test_a_network_is_the_sum_and_a_cut_saves() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    graph = trace(model, torch.zeros(1, 3, 8, 8))
    table = EnergyTable()
    assert table.constant(graph) == 0
    whole = Cost(graph, energy=table).total()["energy"]
    assert whole == pytest.approx(sum(table(graph, operation) for operation in graph.operations))
    half = {"0.weight:0": torch.arange(16) < 8}
    smaller = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    cut = Cost(trace(smaller, torch.zeros(1, 3, 8, 8)), energy=table).total()["energy"]
    assert cut < whole
    assert Cost(graph, energy=table).total(half)["energy"] == pytest.approx(cut)


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(BudgetError, match="no energy table for precision 'int4'; known: float32"):
        EnergyTable("int4")  # type: ignore[arg-type]
