"""Looking at a model leaves no mark on it."""

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.modes import as_found, evaluating


class Caching(nn.Module):
    """Heads with a bias per relative position, looked up once per device and kept, as image models do."""

    def __init__(self):
        super().__init__()
        self.values, self.out = nn.Linear(6, 8), nn.Linear(8, 3)
        self.table = nn.Parameter(torch.randn(8, 5))
        self.register_buffer("places", torch.tensor([0, 3, 1, 4]))
        self.kept, self.calls, self.seen = {}, 0, []

    def forward(self, x):
        self.calls += 1
        self.seen.append(x.shape[0])
        key = str(x.device)
        if not self.training and key not in self.kept:
            self.kept[key] = self.table[:, self.places]
        bias = self.table[:, self.places] if self.training else self.kept[key]
        self.last = x
        return self.out((self.values(x) + bias.mean(dim=1)).relu())


def state(model):
    return {name: value for name, value in vars(model).items() if not name.startswith("_")}


@pytest.mark.parametrize("error", [False, True])
def test_attributes_and_containers_come_back(error):
    model = Caching()
    model.register_forward_hook(hook := lambda *_: None)
    before = {name: list(value) if isinstance(value, list) else value for name, value in state(model).items()}
    try:
        with as_found([model]):
            model.eval()(torch.zeros(1, 6))
            model.places = None
            model.extra = nn.Linear(1, 1)
            model._forward_hooks.clear()
            if error:
                raise KeyError
    except KeyError:
        pass
    assert state(model) == before
    assert model.training
    assert list(model._modules) == ["values", "out"]
    assert model.places is not None
    assert list(model._forward_hooks.values()) == [hook]


def test_evaluating_puts_modes_back():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with evaluating(model):
        assert not model[0].training
    assert model[0].training
    assert not model[1].training


def test_what_a_network_keeps_for_later_is_not_taken_into_the_smaller_one():
    torch.manual_seed(0)
    model, x = Caching(), torch.randn(2, 6)
    small = ns.shrink(model, x, ratio=0.5)
    assert small.table.shape[0] < 8
    assert not small.kept
    assert not model.kept
    assert not model.calls
    small.eval()(x)
