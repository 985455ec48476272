"""Merging linear chains: exact, one layer fewer, and only where it is one."""

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import EditError

VECTOR = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGE = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LINE = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def conv(*args, **options):
    return nn.Conv2d(*args, **options)


CHAINS = {
    "linear": (lambda: [nn.Linear(6, 9), nn.Linear(9, 5)], VECTOR),
    "linear-first-bias": (lambda: [nn.Linear(6, 9), nn.Linear(9, 5, bias=False)], VECTOR),
    "linear-no-bias": (
        lambda: [nn.Linear(6, 9, bias=False), nn.Identity(), nn.Linear(9, 5, bias=False)],
        VECTOR,
    ),
    "linear-three": (lambda: [nn.Linear(6, 9), nn.Linear(9, 8), nn.Linear(8, 2)], VECTOR),
    "pointwise-twice": (lambda: [conv(3, 9, 1), conv(9, 5, 1)], IMAGE),
    "kernel-then-pointwise": (lambda: [conv(3, 9, 3, stride=2, padding=1), conv(9, 5, 1, stride=2)], IMAGE),
    "same-then-pointwise": (lambda: [conv(3, 9, 3, padding="same", dilation=2), conv(9, 5, 1)], IMAGE),
    "pointwise-then-kernel": (lambda: [conv(3, 9, 1), conv(9, 2, 3, stride=2)], IMAGE),
    "pointwise-then-padded": (lambda: [conv(3, 9, 1, bias=False), conv(9, 2, 3, padding=1)], IMAGE),
    "one-dimensional": (lambda: [nn.Conv1d(3, 9, 3), nn.Conv1d(9, 5, 1, bias=False)], LINE),
}


def made(chain, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*chain(), nn.Tanh()).double().eval()


@pytest.mark.parametrize("name", CHAINS)
def test_merged_chain_is_exact_and_smaller(name):
    chain, x = CHAINS[name]
    model = made(chain)
    merged, records = ns.edits.merge(model, x)
    layers = [m for m in merged if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d))]
    assert len(layers) == 1
    torch.testing.assert_close(merged(x), model(x), rtol=1e-10, atol=1e-12)
    assert sum(p.numel() for p in merged.parameters()) < sum(p.numel() for p in model.parameters())
    assert records == json.loads(json.dumps(records)) == ns.records(merged)
    again = ns.replay(made(chain), records)
    assert str(again) == str(merged)
    assert torch.equal(again(x), merged(x))
    ns.edits.kinds.kind_of(records[0]).invert(again, records[0], model)
    assert torch.equal(again(x), model(x))


class Net(nn.Module):
    def __init__(self, forward, first=None, second=None):
        super().__init__()
        self.first, self.second, self.body = first or nn.Linear(6, 9), second or nn.Linear(9, 5), forward

    def forward(self, x):
        return self.body(self, x)


def shared():
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, layer)


def tied():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    return model


def hooked():
    model = nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 5))
    model[0].register_forward_hook(lambda *_: None)
    return model


STAY = {
    "activation": (lambda: nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 5)), VECTOR),
    "functional": (lambda: Net(lambda s, x: s.second(s.first(x).tanh())), VECTOR),
    "read-twice": (lambda: Net(lambda s, x: (lambda y: s.second(y) + y.sum())(s.first(x))), VECTOR),
    "put-out": (lambda: Net(lambda s, x: (lambda y: (y, s.second(y)))(s.first(x))), VECTOR),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.Linear(9, 5)), VECTOR),
    "shared": (shared, VECTOR),
    "tied": (tied, VECTOR),
    "hooked": (hooked, VECTOR),
    "grouped": (lambda: nn.Sequential(conv(3, 9, 1, groups=3), conv(9, 5, 1)), IMAGE),
    "padded-bias": (lambda: nn.Sequential(conv(3, 9, 1), conv(9, 2, 3, padding=1)), IMAGE),
    "two-kernels": (lambda: nn.Sequential(conv(3, 9, 3), conv(9, 2, 3)), IMAGE),
    "strided-pointwise": (lambda: nn.Sequential(conv(3, 9, 1, stride=2), conv(9, 2, 3)), IMAGE),
    "bottleneck": (lambda: nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 6)), VECTOR),
}


@pytest.mark.parametrize("name", STAY)
def test_what_is_not_one_layer_stays(name):
    make, x = STAY[name]
    model = make().double()
    same, records = ns.edits.merge(model, x)
    assert records == []
    assert str(same) == str(model)


def test_a_bottleneck_merges_when_forced():
    model = nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 6)).double()
    merged, _ = ns.edits.merge(model, VECTOR, force=True)
    torch.testing.assert_close(merged(VECTOR), model(VECTOR))
    assert merged[0].weight.shape == (6, 6)


def test_factors_merge_back_into_the_layer():
    model = nn.Sequential(nn.Linear(6, 5)).double()
    pair, _ = ns.edits.factorise(model, "0", rank=5)
    merged, _ = ns.edits.merge(pair, VECTOR)
    torch.testing.assert_close(merged[0][0].weight, model[0].weight)
    assert [record["kind"] for record in ns.records(merged)] == ["factorise", "merge"]


def test_a_record_of_another_model_is_refused():
    records = ns.edits.merge(nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 5)).double(), VECTOR)[1]
    other = nn.Sequential(conv(3, 3, 3), conv(3, 3, 3))
    with pytest.raises(EditError, match="do not make one"):
        ns.replay(other, records)
