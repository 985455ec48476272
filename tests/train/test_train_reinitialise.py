from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.errors import NetsmithError
from netsmith.training.reinitialise import reinitialise_


def test_weights_that_cannot_be_made_anew_are_named_and_nothing_changes():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.scale = nn.Parameter(torch.ones(3))

    model = nn.Sequential(Scaled())
    before = model[0].linear.weight.clone()
    with pytest.raises(NetsmithError, match="Scaled '0' cannot initialise its 'scale' anew"):
        reinitialise_(model, 0)
    assert torch.equal(model[0].linear.weight, before)


def test_random_numbers_of_the_caller_are_left_alone():
    model = nn.Linear(2, 2)
    state = torch.random.get_rng_state()
    reinitialise_(model, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
