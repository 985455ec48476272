"""Slices and unequal splits: parts lose channels of their own where the code's sizes can follow."""

import pytest
import torch
from test_exactness import random_keep
from torch import Tensor, nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove


class Parts(nn.Module):
    """A layer whose outputs are taken apart by ``cut`` and put together again."""

    def __init__(self, cut, widths=(4, 8), *, joined=True):
        super().__init__()
        self.cut, self.first_width, self.second_width = cut, *widths
        self.first = nn.Linear(5, sum(widths))
        self.left, self.right = nn.Linear(widths[0], 6), nn.Linear(widths[1], 6)
        self.head = nn.Linear(sum(widths) if joined else 6, 3)
        self.joined = joined

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.cut(self, torch.tanh(self.first(x)))
        if self.joined:
            return self.head(torch.cat([right, left], -1))
        return self.head(self.left(left) * self.right(right))


def by_split(net, x):
    return x.split([net.first_width, net.second_width], dim=-1)


def by_split_and_rest(net, x):
    return x.split([net.first_width, x.shape[-1] - net.first_width], dim=-1)


def by_slices(net, x):
    return x[:, : net.first_width], x[:, net.first_width :]


def by_slices_from_the_end(net, x):
    return x[..., : -net.second_width], x[..., -net.second_width :]


def by_narrow(net, x):
    return x.narrow(1, 0, net.first_width), x.narrow(1, net.first_width, net.second_width)


def by_halves(net, x):
    half = x.shape[-1] // 2
    return x[:, :half], x[:, half:]


def written_split(net, x):
    return x.split([4, 8], dim=-1)


def written_slices(net, x):
    return x[:, :4], x[:, 4:]


def exact_cut(model, inputs, seed=0):
    """Return the groups' sizes after checking that a random cut equals the masked original."""
    model = model.double().eval()
    graph = ns.trace(model, inputs)
    keep = random_keep(graph, seed)
    expected = masked_output(model, inputs, graph, keep)
    small, _ = remove(model, graph, keep)
    with torch.no_grad():
        got = small(*inputs) if isinstance(inputs, tuple) else small(inputs)
    assert relative_difference(got, expected) <= 1e-10
    return sorted(group.size for group in graph.groups)


X = torch.randn(7, 5, dtype=torch.float64)
FOLLOWING = [by_split, by_split_and_rest, by_slices, by_slices_from_the_end, by_narrow]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("cut", FOLLOWING)
def test_parts_lose_channels_of_their_own(cut, joined, seed):
    sizes = exact_cut(Parts(cut, joined=joined), X, seed)
    assert sizes == ([4, 8] if joined else [4, 6, 8])


def test_halves_stay_equal():
    assert exact_cut(Parts(by_halves, (6, 6)), X) == [6]


@pytest.mark.parametrize(("cut", "sizes"), [(written_split, [6]), (written_slices, [6, 8])])
def test_sizes_written_in_the_code_hold_what_they_count(cut, sizes):
    assert exact_cut(Parts(cut, joined=False), X) == sizes


def test_attribute_is_mended():
    net = Parts(by_slices)
    small = ns.shrink(net, X.float(), ratio=0.5, scope="local")
    assert (small.first_width, net.first_width) == (2, 4)


class SlicedByAnother(nn.Module):
    """The width of one layer says how much of another's is used; here, all of it."""

    def __init__(self):
        super().__init__()
        self.long, self.short, self.head = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        short = self.short(x)
        return self.head(self.long(x)[:, : short.shape[1]].tanh())


def test_slice_that_is_the_whole_follows_its_bound():
    assert exact_cut(SlicedByAnother(), X) == [8]
