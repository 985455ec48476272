from __future__ import annotations

import torch
from torch import nn

from netsmith.penalties import TransformedL1, transformed_l1


def test_known_values():
    assert transformed_l1(torch.tensor([1.0, 0.0, -3.0])) == 2.5
    assert transformed_l1(torch.zeros(3)) == 0


def test_lies_between_twice_l1_and_twice_the_count():
    small, large = torch.full((10,), 1e-4), torch.full((10,), 1e4)
    torch.testing.assert_close(transformed_l1(small), 2 * small.sum(), rtol=1e-3, atol=0)
    torch.testing.assert_close(transformed_l1(large), torch.tensor(20.0), rtol=1e-3, atol=0)


def test_class_sums_over_weights():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    expected = sum(transformed_l1(layer.weight) for layer in model)
    torch.testing.assert_close(TransformedL1(0.5)(model), 0.5 * expected)
