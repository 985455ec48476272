from __future__ import annotations

import torch
from torch import nn

import netsmith as ns
from netsmith.sparsity import nonzero_macs


def test_counts_what_a_loop_over_non_zeros_would_multiply() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5, bias=False)
    ).eval()
    inputs = torch.randn(2, 2, 6, 6)
    dense = ns.profile(model, inputs).total["macs"]
    assert nonzero_macs(model, inputs) == dense
    with torch.no_grad():
        for layer in (model[0], model[4]):
            layer.weight.mul_(torch.rand_like(layer.weight) < 0.3)
    by_hand = 2 * 16 * int(model[0].weight.count_nonzero()) + 2 * int(model[4].weight.count_nonzero())
    assert nonzero_macs(model, inputs) == by_hand
    assert ns.profile(model, inputs).total["macs"] == dense


def test_products_of_activations_count_whole() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.read(x) @ x.transpose(-1, -2)

    model, inputs = Square(), torch.randn(3, 4)
    torch.nn.init.zeros_(model.read.weight)
    assert nonzero_macs(model, inputs) == 3 * 3 * 4
