"""Which operators run depends on memory layouts: a trace without values sees those that run with them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netsmith as ns
from netsmith.graph.masked import LAYOUT
from netsmith.graph.tracing import run


class ChannelsLast(nn.Module):
    """Normalisation over the last dimension makes channels-last images; convolutions and pools keep them."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.conv = nn.Conv2d(3, 12, 3), nn.LayerNorm(12), nn.Conv2d(12, 10, 3)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        x = self.norm(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class LinearOfTransposed(nn.Module):
    """A linear layer of a tensor that is not contiguous is one product or many, as gradients are wanted."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.head = nn.Linear(6, 12), nn.Linear(12, 10), nn.Linear(10, 4)

    def forward(self, x):
        x = self.embed(x)
        x = x.transpose(1, 2).reshape(x.shape[0], -1, 2, 4).transpose(2, 3).flatten(2).transpose(1, 2)
        return self.head(F.relu(self.mix(x))).mean(dim=1)


class Gaps(nn.Module):
    """A pointwise operator on a tensor with gaps has an output without."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(6, 12), nn.Linear(12, 4)

    def forward(self, x):
        return self.head(F.relu(self.embed(x)[:, ::2]).flatten(0, 1))


NETWORKS = {
    "channels last": (ChannelsLast, torch.randn(2, 3, 12, 12)),
    "transposed": (LinearOfTransposed, torch.randn(2, 8, 6)),
    "gaps": (Gaps, torch.randn(2, 8, 6)),
}


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_operators_run_without_values(name, gradients):
    torch.manual_seed(0)
    constructor, x = NETWORKS[name]
    model = constructor().eval().requires_grad_(gradients)
    shapes, values = run(model, x), run(model, x, real=True)
    assert [op.name for op in shapes.operations if op.name not in LAYOUT] == [
        op.name for op in values.operations if op.name not in LAYOUT
    ]
    small = ns.shrink(model, x, ratio=0.5)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
