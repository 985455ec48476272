"""What layers of graph networks do with sizes, masks and neighbours: found, and cut exactly."""

import torch
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference

NODES, FEATURES = 10, 6
X = torch.randn(NODES, FEATURES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 5, 7, 9]])


def sizes_after_halving(model, inputs):
    """Halve every group, check the result against the masked original, return the sizes of the groups."""
    model = model.double().eval()
    graph = ns.trace(model, inputs)
    keep = {g.name: torch.arange(g.size) % 2 == 0 for g in graph.groups}
    small, _ = ns.edits.remove(model, graph, keep)
    expected = masked_output(model, inputs, graph, keep)
    with torch.no_grad():
        assert relative_difference(small(*inputs), expected) <= 1e-10
    return sorted(group.size for group in graph.groups)


class FixedWidthInAnAttribute(nn.Module):
    """Two tensors viewed to the width of the input: neither can lose what the other keeps."""

    def __init__(self):
        super().__init__()
        self.width = FEATURES
        self.edges = nn.Linear(3, FEATURES)
        self.mix = nn.Linear(2 * FEATURES, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x, features):
        x = torch.cat([x.view(-1, 1, self.width), self.edges(features).view(-1, 1, self.width)], dim=-1)
        return self.head(self.mix(x).relu())


def test_attribute_that_sizes_an_input_stays():
    assert sizes_after_halving(FixedWidthInAnAttribute(), (X, X[:, :3])) == [8]


class Bases(nn.Module):
    """Every head mixes what several aggregations of a few bases gave: no size is an attribute alone."""

    def __init__(self):
        super().__init__()
        self.heads, self.bases, self.out, self.kinds = 2, 4, 6, ["sum", "mean"]
        self.make = nn.Linear(FEATURES, self.bases * self.out // self.heads)
        self.mix = nn.Linear(FEATURES, self.heads * self.bases * len(self.kinds))
        self.head = nn.Linear(self.out, 2)

    def forward(self, x, edges):
        weights = self.mix(x).view(-1, self.heads, self.bases * len(self.kinds))
        made = self.make(x)
        gathered = [
            torch.zeros_like(made).scatter_reduce(
                0, edges[1][:, None].expand(-1, made.shape[1]), made[edges[0]], kind, include_self=False
            )
            for kind in self.kinds
        ]
        stacked = torch.stack(gathered, dim=1)
        stacked = stacked.view(-1, len(self.kinds) * self.bases, self.out // self.heads)
        return self.head((weights @ stacked).view(-1, self.out).relu())


def test_attributes_are_solved_from_products_and_quotients():
    assert sizes_after_halving(Bases(), (X, EDGES)) == [2, 3, 4]


class GroupedAttention(nn.Module):
    """Heads and width in attributes, the head width only as their quotient."""

    def __init__(self):
        super().__init__()
        self.heads, self.out = 4, 16
        self.query, self.key = nn.Linear(FEATURES, 16), nn.Linear(FEATURES, 16)
        self.value, self.head = nn.Linear(FEATURES, 16), nn.Linear(16, 2)

    def forward(self, x):
        width = self.out // self.heads
        size = (x.shape[0], self.heads, width)
        query, key, value = (part(x).view(size) for part in (self.query, self.key, self.value))
        scores = torch.einsum("ihd,jhd->hij", query, key) / 3.0
        return self.head(torch.einsum("hij,jhd->ihd", scores.softmax(-1), value).reshape(-1, self.out))


def test_quotients_of_attributes_that_both_change():
    assert sizes_after_halving(GroupedAttention(), (X,)) == [4, 4]


class Padded(nn.Module):
    """Sets of different sizes as one padded tensor and back, as a recurrent readout needs them."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(FEATURES, 8), nn.Linear(8, 2)

    def forward(self, x, sets, place):
        x = self.first(x)
        padded = torch.zeros(()).to(x.dtype).repeat([2 * 6, *x.size()[1:]])
        padded[sets * 6 + place] = x
        padded = padded.view([2, 6, *x.size()[1:]])
        there = torch.zeros(12, dtype=torch.bool)
        there[sets * 6 + place] = True
        padded[padded == 0] = 1e-3
        return self.head(padded.tanh()[there.view(2, 6)])


def test_padding_and_choosing_by_mask_leave_the_features_free():
    place = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 4, 5])
    assert sizes_after_halving(Padded(), (X, (torch.arange(10) > 3).long(), place)) == [8]


class LargestChannel(nn.Module):
    """Weights places by the largest of their channels, and may look at which one that is."""

    def __init__(self, look):
        super().__init__()
        self.first, self.last, self.look = nn.Linear(FEATURES, 8), nn.Linear(8, 2), look

    def forward(self, x):
        x = self.first(x)
        largest, which = x.max(dim=1, keepdim=True)
        return self.last(x * largest) + (which if self.look else 0)


def test_largest_channel_is_over_those_left_unless_its_position_is_used():
    assert sizes_after_halving(LargestChannel(look=False), (X,)) == [8]
    assert sizes_after_halving(LargestChannel(look=True), (X,)) == []


class Standardised(nn.Module):
    """Both statistics across channels from one operator."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(FEATURES, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.first(x)
        variance, mean = torch.var_mean(x, dim=1, keepdim=True)
        return self.last((x - mean) / (variance + 1).sqrt())


def test_two_statistics_from_one_operator_are_over_the_channels_left():
    assert sizes_after_halving(Standardised(), (X,)) == [8]
