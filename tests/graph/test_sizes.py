"""Sizes that code computes, compares and keeps: what follows from them, and that cuts stay exact."""

import torch
import torch.nn.functional as F
from test_message_passing import sizes_after_halving
from torch import nn

import netsmith as ns

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class PaddedShortcut(nn.Module):
    """A shortcut filled up with zeros to a width that is written down."""

    def __init__(self):
        super().__init__()
        self.first, self.middle = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 10, 1)
        self.hidden, self.last = nn.Conv2d(10, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.first(x)
        zeros = torch.zeros(x.size(0), 10 - x.size(1), *x.shape[2:], dtype=x.dtype)
        return self.last(self.hidden(torch.cat([x, zeros], dim=1) + self.middle(x)).relu())


def test_width_filled_up_to_a_number_stays():
    assert sizes_after_halving(PaddedShortcut(), (IMAGE,)) == [8]


class PaddedToAttribute(nn.Module):
    """Features that are padded to a width where they are narrower: compared, never handed to an operator."""

    def __init__(self):
        super().__init__()
        self.first, self.width = nn.Linear(6, 8), 8
        self.second, self.last = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.first(x)
        if x.size(-1) < self.width:
            x = F.pad(x, (0, self.width - x.size(-1)))
        return self.last((self.second(x) + x).relu())


def test_attribute_that_is_only_compared_is_mended():
    assert sizes_after_halving(PaddedToAttribute(), (X,)) == [8]
    assert ns.shrink(PaddedToAttribute(), X.float(), ratio=0.5).width == 4


class TableOfPlaces(nn.Module):
    """A bias per pair of places, found by a buffer of indices that is not to be cut."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 2)
        self.table = nn.Parameter(torch.randn(7, 8))
        self.register_buffer("places", torch.arange(4)[:, None] - torch.arange(4) + 3)

    def forward(self, x):
        bias = self.table[self.places[:4, :4].reshape(-1)].reshape(4, 4, -1)
        return self.last((self.first(x)[:, None] + bias).relu()).sum(1)


def test_indices_kept_in_a_buffer_stay():
    assert sizes_after_halving(TableOfPlaces(), (X,)) == [8]


class Unpooled(nn.Module):
    """Unpooling puts the channels of one layer where those of another were."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (nn.Conv2d(a, b, 1) for a, b in ((3, 8), (8, 8), (8, 2)))

    def forward(self, x):
        pooled, where = F.max_pool2d(self.first(x), 2, return_indices=True)
        return self.last(F.max_unpool2d(self.second(pooled), where, 2))


def test_unpooling_ties_channels_to_where_they_go():
    assert sizes_after_halving(Unpooled(), (IMAGE,)) == [8]


class Noisy(nn.Module):
    """Draws random numbers in evaluation too."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.last(self.first(x + torch.rand_like(x)).relu())
        return x + torch.randn_like(x)


def test_networks_that_draw_are_verified_and_randomness_is_left_as_found():
    before = torch.get_rng_state()
    model = Noisy()
    state = torch.get_rng_state()
    assert not torch.equal(before, state)
    ns.shrink(model, X.float(), ratio=0.5)
    assert torch.equal(torch.get_rng_state(), state)
