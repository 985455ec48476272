from __future__ import annotations

import torch
from torch import nn

from netsmith.penalties import L1


def test_is_the_sum_of_magnitudes_of_the_weights():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    expected = sum(layer.weight.abs().sum() for layer in model)
    torch.testing.assert_close(L1(0.5)(model), 0.5 * expected)


def test_gradient_is_the_sign():
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 0.0, -0.1]]))
    L1(0.5)(layer).backward()
    assert layer.weight.grad.tolist() == [[0.5, 0.0, -0.5]]
