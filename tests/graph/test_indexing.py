"""Look-ups and additions by an index that the model keeps: what goes with it, and what must stay."""

import pytest
import torch
from test_slicing import exact_cut
from torch import nn

import netsmith as ns


class Chosen(nn.Module):
    """A layer on features chosen by an index that is kept in a buffer."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.first, self.norm, self.head = nn.Linear(5, 6), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.register_buffer("index", torch.tensor([0, 5, 2, 2, 4, 1, 0, 3]))

    def forward(self, x):
        x = torch.tanh(self.first(x))
        if self.how == "index_select":
            x = torch.index_select(x, 1, self.index)
        elif self.how == "gather":
            x = x.gather(1, self.index.expand(len(x), -1))
        else:
            x = x[:, self.index]
        return self.head(torch.relu(self.norm(x)))


X = torch.randn(7, 5, dtype=torch.float64)


@pytest.mark.parametrize("how", ["index_select", "index", "gather"])
def test_what_is_chosen_goes_with_the_entries_of_the_index(how):
    assert exact_cut(Chosen(how), X) == [8]


class Added(nn.Module):
    """Features added up at places that a buffer names."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(5, 8), nn.Linear(4, 3)
        self.register_buffer("index", torch.tensor([0, 1, 2, 2, 3, 1, 0, 3]))

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.head(x.new_zeros(len(x), 4).index_add(1, self.index, x))


def test_what_is_added_by_index_stays():
    assert ns.trace(Added(), X.float()).groups == []
