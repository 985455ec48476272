"""Weights normalised in the forward pass: their statistics are over the input channels that are left."""

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove


class StandardisedConv(nn.Conv2d):
    """Weight standardisation (Qiao et al. 2019, arXiv:1903.10520) through batch normalisation."""

    def forward(self, x):
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, weight=self.gain, training=True, momentum=0.0, eps=1e-6)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


def standardised(*args, gain=False, **options):
    conv = StandardisedConv(*args, **options)
    conv.gain = nn.Parameter(torch.rand(conv.out_channels)) if gain else None
    return conv


class ByMeans(nn.Conv2d):
    def forward(self, x):
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        deviation = self.weight.std(dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / deviation, self.bias)


NETWORKS = {
    "batch norm": lambda: [standardised(8, 10, 3), standardised(10, 6, 1)],
    "batch norm with gains": lambda: [standardised(8, 10, 3, gain=True), standardised(10, 6, 3, gain=True)],
    "grouped": lambda: [standardised(8, 12, 3, groups=4), standardised(12, 6, 1)],
    "by means": lambda: [ByMeans(8, 10, 3), ByMeans(10, 6, 1)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_cut_equals_masked_original(name):
    torch.manual_seed(0)
    first, second = NETWORKS[name]()
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), first, nn.ReLU(), second, nn.Flatten()).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    graph = ns.trace(model, x)
    assert {s.tensor for group in graph.groups for s in group.slices} >= {"0.weight", "2.weight", "4.weight"}
    for seed in range(3):
        keep = random_keep(graph, seed)
        expected = masked_output(model, x, graph, keep)
        small, _ = remove(model, graph, keep)
        assert relative_difference(small(x).detach(), expected) <= 1e-10
    smaller = ns.shrink(model, x, ratio=0.5, scope="local")
    assert smaller[0].out_channels < 8


def test_statistics_are_over_the_channels_left():
    torch.manual_seed(0)
    conv = standardised(4, 3, 1)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), conv).double()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    graph = ns.trace(model, x)
    keep = {graph.groups[0].name: torch.tensor([True, False, True, True])}
    small, _ = remove(model, graph, keep)
    left = conv.weight.detach()[:, [0, 2, 3], 0, 0]
    by_hand = (left - left.mean(1, keepdim=True)) / (left.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    hidden = model[0](x)[:, [0, 2, 3]]
    expected = torch.einsum("oi,bihw->bohw", by_hand, hidden) + conv.bias[:, None, None]
    assert torch.allclose(small(x), expected, rtol=1e-10)
    assert torch.allclose(masked_output(model, x, graph, keep), expected, rtol=1e-10)
