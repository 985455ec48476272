from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.penalties import Hoyer, hoyer


def test_known_values():
    assert hoyer(torch.tensor([3.0, 0.0, -3.0, 3.0, 3.0])) == 2
    assert hoyer(torch.tensor([0.0, -5.0])) == 1
    assert hoyer(torch.zeros(4)) == 0


@pytest.mark.parametrize("scale", [1e-3, -1e3])
def test_does_not_change_with_scale(scale):
    w = torch.linspace(-1, 2, 50, dtype=torch.float64)
    torch.testing.assert_close(hoyer(scale * w), hoyer(w), rtol=1e-13, atol=0)


def test_class_sums_over_weights():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    expected = hoyer(model[0].weight) + hoyer(model[1].weight)
    torch.testing.assert_close(Hoyer(2.0)(model), 2 * expected)
