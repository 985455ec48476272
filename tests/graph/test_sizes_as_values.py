"""Sizes that the code computes with, in ways it does not tell."""

import pytest
import torch
from test_slicing import exact_cut
from torch import nn

import netsmith as ns


class Scaled(nn.Module):
    """Scaled by something that is computed from a width."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.first, self.second, self.head = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.head(torch.tanh(self.second(x * self.factor(x))))


X = torch.randn(7, 5, dtype=torch.float64)
FACTORS = {
    "a number over a product": lambda x: 2.0 / (x.shape[1] * 3),
    "a product with a fraction": lambda x: x.shape[1] * 0.5,
    "as often as": lambda x: sum(1.0 for _ in range(x.shape[-1] // 2)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_width_that_sets_a_factor_stays(name):
    assert exact_cut(Scaled(FACTORS[name]), X) == [6]


def test_width_that_sets_no_factor_goes():
    assert exact_cut(Scaled(lambda _: 0.5), X) == [6, 8]


class Repeated(nn.Module):
    """Heads that lie in the batch, and a bias that is repeated as often as there are samples."""

    def __init__(self):
        super().__init__()
        self.heads, self.inner, self.head = 4, nn.Linear(5, 8), nn.Linear(8, 3)
        self.bias = nn.Parameter(torch.randn(4, 2))

    def forward(self, x):
        x = self.inner(x).view(len(x) * self.heads, -1)
        x = torch.tanh(x + self.bias.repeat(x.shape[0] // self.heads, 1))
        return self.head(x.view(-1, self.heads * x.shape[1]))


def test_number_of_repetitions_follows():
    assert exact_cut(Repeated(), X) == [2, 4]


class Freed(nn.Module):
    """A value whose memory is given back as soon as a copy of it is made."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        copy = x.clone()
        x.set_()
        return self.head(copy)


def test_memory_that_is_freed_holds_no_channel():
    with torch.no_grad():
        assert exact_cut(Freed(), X) == [8]


class Normalised(nn.Module):
    """A normalisation in groups, whose own code divides widths."""

    def __init__(self):
        super().__init__()
        self.groups, self.first, self.head = 2, nn.Conv1d(5, 8, 3), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(nn.functional.group_norm(self.first(x), self.groups)).mean(-1))


def test_what_pytorch_computes_with_widths_is_not_the_users():
    groups = ns.trace(Normalised(), torch.randn(2, 5, 9)).groups
    assert sorted(group.size for group in groups) == [2, 4]
