from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsmith as ns
from netsmith.scores.wanda import wanda, wanda_elements


def test_linear_layers_by_hand_over_samples_and_positions() -> None:
    model, x = nn.Sequential(nn.Linear(4, 3)), torch.randn(5, 7, 4)
    expected = model[0].weight.abs() * x.flatten(0, 1).norm(dim=0)
    torch.testing.assert_close(wanda_elements(model, lambda m: m(x).sum())["0.weight"], expected.detach())


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions_read_their_groups_channels(groups: int) -> None:
    conv, x = nn.Conv2d(4, 8, 3, groups=groups), torch.randn(5, 4, 6, 6)
    found = wanda_elements(conv, lambda m: m(x).sum())["weight"]
    norms = x.transpose(0, 1).flatten(1).norm(dim=1)
    for output in range(8):
        first = output // (8 // groups) * (4 // groups)
        for one in range(4 // groups):
            expected = conv.weight[output, one].abs() * norms[first + one]
            torch.testing.assert_close(found[output, one], expected.detach())
    alone = wanda_elements(conv, lambda m: m(x[0]).sum() + m(x[1:]).sum())["weight"]
    torch.testing.assert_close(alone, found)


def test_functional_code_and_weights_used_twice_are_seen() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 4))
            self.raw = nn.Parameter(torch.randn(4, 2))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(input=F.linear(x, self.weight), weight=self.weight) @ self.raw

    model, x = Twice(), torch.randn(3, 4)
    found = wanda_elements(model, lambda m: m(x).sum())
    norms = torch.cat([x, x @ model.weight.t()]).norm(dim=0)
    torch.testing.assert_close(found["weight"], (model.weight.abs() * norms).detach())
    assert torch.equal(found["raw"], model.raw.detach().abs())


def test_channels_that_are_silent_score_lowest_and_groups_have_mean_one() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.rand(9, 4)
    with torch.no_grad():
        model[0].bias[3] = -100.0
    scores = wanda(model, lambda m: m(x).sum(), ns.trace(model, x))["0.weight:0"]
    assert scores[3] == 0
    assert scores.argmin() == 3
    assert float(scores.mean()) == pytest.approx(1)


def test_one_score_beats_the_other_only_by_activations() -> None:
    model, x = nn.Linear(2, 1, bias=False), torch.tensor([[10.0, 1.0]])
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 5.0]]))
    found: Any = wanda_elements(model, lambda m: m(x).sum())["weight"]
    assert found[0, 0] > found[0, 1]
