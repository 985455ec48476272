from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.zoo.init import he_init_


def test_variance_is_two_over_fan_in_also_for_depthwise() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(16, 64, 3), nn.Conv2d(2000, 2000, 3, groups=2000), nn.Linear(300, 200), nn.BatchNorm2d(4)
    )
    assert he_init_(model) is model
    for layer, fan_in in zip(model, (16 * 9, 9, 300), strict=False):
        assert float(layer.weight.detach().var()) == pytest.approx(2 / fan_in, rel=0.05)
        assert not layer.bias.any()
    assert torch.equal(model[3].weight, torch.ones(4))
