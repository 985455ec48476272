from __future__ import annotations

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.penalties import GroupLasso


def layers() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[12.0, -2.0]]))
    return model


def test_without_a_graph_rows_and_columns_of_each_weight_are_summed() -> None:
    model = layers()
    # Rows 5, 0 and |(12, -2)|; columns 3, 4 and 12, 2.
    rows, columns = 5 + 148**0.5, 3 + 4 + 12 + 2
    assert GroupLasso(strength=1.0, dims=("out",))(model).item() == pytest.approx(rows)
    assert GroupLasso(strength=2.0)(model).item() == pytest.approx(2 * (rows + columns))


def test_with_a_graph_a_channel_is_what_makes_it_and_what_reads_it() -> None:
    model = layers()
    penalty = GroupLasso(ns.trace(model, torch.zeros(1, 2)), strength=1.0)
    assert penalty(model).item() == 13 + 2


def test_every_channel_is_shrunk_at_one_rate() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7, bias=False))
    GroupLasso(strength=0.3, dims=("out",))(model).backward()
    torch.testing.assert_close(model[0].weight.grad.norm(dim=1), torch.full((7,), 0.3))
