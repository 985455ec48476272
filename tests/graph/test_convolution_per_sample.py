"""Kernels mixed per sample (Yang et al. 2019, arXiv:1904.04971): the batch goes into the groups."""

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove


class PerSample(nn.Module):
    def __init__(self, inputs, outputs, groups=1, experts=3):
        super().__init__()
        self.inputs, self.outputs, self.groups = inputs, outputs, groups
        self.kernel = (3, 3)
        self.weight = nn.Parameter(torch.randn(experts, outputs * inputs // groups * 9))

    def forward(self, x, share):
        batch, channels, height, width = x.shape
        weight = (share @ self.weight).view(batch * self.outputs, self.inputs // self.groups, *self.kernel)
        x = x.reshape(1, batch * channels, height, width)
        x = F.conv2d(x, weight, padding=1, groups=batch * self.groups)
        return x.view(batch, self.outputs, height, width)


class Network(nn.Module):
    def __init__(self, groups):
        super().__init__()
        self.stem, self.route = nn.Conv2d(3, 8, 1), nn.Linear(8, 3)
        self.mixed, self.head = PerSample(8, 8 if groups > 1 else 10, groups), nn.LazyConv2d(4, 1)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head(self.mixed(x, self.route(x.mean(dim=(2, 3))).sigmoid()).relu())


@pytest.mark.parametrize("groups", [1, 8])
def test_cut_equals_masked_original(groups):
    torch.manual_seed(0)
    model, x = Network(groups), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    model(x.float())
    model.double()
    graph = ns.trace(model, x)
    assert {s.tensor for group in graph.groups for s in group.slices} >= {"stem.weight", "mixed.weight"}
    for seed in range(3):
        keep = random_keep(graph, seed)
        small, _ = remove(model, graph, keep)
        inputs = small.stem.out_channels
        assert small.mixed.groups == (1 if groups == 1 else inputs)
        assert small.mixed.inputs // small.mixed.groups == inputs // small.mixed.groups
        with torch.no_grad():
            assert relative_difference(small(x), masked_output(model, x, graph, keep)) <= 1e-10
    halved = ns.shrink(model, x, ratio=0.5, scope="local")
    assert halved.mixed.groups == (1 if groups == 1 else 4)
