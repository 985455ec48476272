"""Folding: exact in evaluation, only where nobody else reads what is normalised, and really gone."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netsmith as ns
from netsmith.closeness import relative_difference

GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.randn(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
VECTOR = torch.randn(5, 6, generator=GENERATOR, dtype=torch.float64)
SEQUENCE = torch.randn(2, 7, 6, generator=GENERATOR, dtype=torch.float64)


class Gain(nn.Module):
    """Per channel of the last dimension: a gain, then an offset, then a constant factor."""

    def __init__(self, width):
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.rand(width) + 0.5), nn.Parameter(torch.randn(width))

    def forward(self, x):
        return (self.offset + x * self.gain) / 3 - 1


class Frozen(nn.Module):
    """Batch norm with constants, worked out in the forward pass."""

    def __init__(self, width):
        super().__init__()
        for name in ("weight", "bias", "mean", "var"):
            self.register_buffer(name, torch.rand(width) + 0.5)

    def forward(self, x):
        scale = (self.weight * (self.var + 1e-5).rsqrt()).view(1, -1, 1, 1)
        return x * scale + (self.bias - self.mean * scale.flatten()).view(1, -1, 1, 1)


class Turned(nn.Module):
    """The channels of a linear layer are turned to the front before they are normalised."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.linear(x).transpose(1, 2)).relu()


class Raw(nn.Module):
    """A convolution with raw parameters; in place, and in a module inside."""

    def __init__(self):
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(4))
        self.inner = nn.Sequential(nn.BatchNorm2d(4))

    def forward(self, x):
        return self.inner(F.conv2d(x, self.kernel, self.shift)).relu_()


def sequential(*layers):
    return lambda: nn.Sequential(*(layer() for layer in layers), nn.Tanh())


FOLDED = {
    "conv": (sequential(lambda: nn.Conv2d(3, 4, 3), lambda: nn.BatchNorm2d(4)), IMAGE, 1),
    "conv-no-bias": (sequential(lambda: nn.Conv2d(3, 4, 3, bias=False), lambda: nn.BatchNorm2d(4)), IMAGE, 1),
    "grouped": (sequential(lambda: nn.Conv2d(3, 6, 3, groups=3), lambda: nn.BatchNorm2d(6)), IMAGE, 1),
    "transposed": (sequential(lambda: nn.ConvTranspose2d(3, 4, 3), lambda: nn.BatchNorm2d(4)), IMAGE, 1),
    "transposed-grouped": (
        sequential(lambda: nn.ConvTranspose2d(3, 6, 2, groups=3, bias=False), lambda: nn.BatchNorm2d(6)),
        IMAGE,
        1,
    ),
    "linear": (sequential(lambda: nn.Linear(6, 4), lambda: nn.BatchNorm1d(4, affine=False)), VECTOR, 1),
    "twice": (sequential(lambda: nn.Linear(6, 4), lambda: nn.BatchNorm1d(4), lambda: Gain(4)), VECTOR, 2),
    "gain": (sequential(lambda: nn.Linear(6, 4), lambda: Gain(4)), SEQUENCE, 1),
    "constants": (sequential(lambda: nn.Conv2d(3, 4, 3, bias=False), lambda: Frozen(4)), IMAGE, 1),
    "turned": (Turned, SEQUENCE, 1),
    "raw": (Raw, IMAGE, 1),
}


def made(make, seed=0):
    torch.manual_seed(seed)
    model = make().double().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model


@pytest.mark.parametrize("name", FOLDED)
def test_folded_is_exact_and_the_module_is_gone(name):
    make, x, count = FOLDED[name]
    model = made(make)
    folded, (record,) = ns.edits.fold(model, x)
    with torch.no_grad():
        assert relative_difference(folded(x), model(x)) <= 1e-12
    assert len(record["folds"]) == count
    assert not any(isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, Gain, Frozen)) for m in folded.modules())
    assert record == json.loads(json.dumps(record))
    again = ns.replay(made(make), [record])
    assert str(again) == str(folded)
    assert torch.equal(again(x), folded(x))
    ns.edits.kinds.kind_of(record).invert(again, record, model)
    assert str(again) == str(model)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(("name", "norms"), [("resnet20", 21), ("mobilenetv2", 52)])
def test_zoo_networks_lose_every_norm(name, norms):
    model = made(lambda: ns.zoo.build(name, classes=4, input_shape=(3, 16, 16), width=0.5))
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    folded, (record,) = ns.edits.fold(model, x)
    assert len(record["folds"]) == norms
    assert record["skipped"] == {}
    with torch.no_grad():
        assert relative_difference(folded(x), model(x)) <= 1e-10
        single = made(lambda: ns.zoo.build(name, classes=4, input_shape=(3, 16, 16), width=0.5)).float()
        assert relative_difference(ns.edits.fold(single, x.float())[0](x.float()), single(x.float())) <= 1e-5
    ns.shrink(folded, x, ratio=0.3)


class Net(nn.Module):
    def __init__(self, forward, **modules):
        super().__init__()
        self.conv, self.norm, self.body = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.body(self, x)


def with_hook(at):
    model = Net(lambda s, x: s.norm(s.conv(x)))
    getattr(model, at).register_forward_hook(lambda *_: None)
    return model


def in_between(layer):
    return Net(lambda s, x: s.norm(s.between(s.conv(x))), between=layer)


def parametrized():
    model = Net(lambda s, x: s.norm(s.conv(x)))
    nn.utils.parametrizations.weight_norm(model.conv)
    return model


SKIPPED = {
    "read-elsewhere": (lambda: Net(lambda s, x: (lambda y: s.norm(y) + y)(s.conv(x))), "read elsewhere"),
    "put-out": (lambda: Net(lambda s, x: (lambda y: (s.norm(y), y))(s.conv(x))), "read elsewhere"),
    "view-read": (
        lambda: Net(lambda s, x: (lambda y, z: s.norm(y) + z)(*(lambda y: (y, y[:, :1]))(s.conv(x)))),
        "read elsewhere",
    ),
    "used-twice": (lambda: Net(lambda s, x: s.norm(s.conv(x)) + s.norm(s.conv(x + 1))), "called 2 times"),
    "conv-twice": (lambda: Net(lambda s, x: s.norm(s.conv(x)) + s.conv(x + 1)), "computed, shared"),
    "parametrized": (parametrized, "computed, shared"),
    "hook-on-conv": (lambda: with_hook("conv"), "a hook on conv"),
    "hook-on-norm": (lambda: with_hook("norm"), "hooks"),
    "activation": (lambda: in_between(nn.ReLU()), "relu stands between"),
    "dropout": (lambda: in_between(nn.Dropout(0.5)), "acts in training"),
    "batch-statistics": (
        lambda: Net(lambda s, x: s.own(s.conv(x)), own=nn.BatchNorm2d(4, track_running_stats=False)),
        "statistics from the batch",
    ),
    "input": (lambda: Net(lambda s, x: s.conv(s.own(x)), own=nn.BatchNorm2d(3)), "nothing that could"),
    "weight-read": (lambda: Net(lambda s, x: s.norm(s.conv(x)) * s.norm.weight.sum()), "norm.weight is read"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_cannot_be_proven_stays_with_its_reason(name):
    make, reason = SKIPPED[name]
    model = make().double().eval()
    path = "own" if hasattr(model, "own") else "norm"
    model.extra, model.spare = nn.Conv2d(3, 2, 1).double(), nn.BatchNorm2d(2).double().eval()
    body = model.body
    model.body = lambda s, x: (body(s, x), s.spare(s.extra(x)))
    folded, (record,) = ns.edits.fold(model, IMAGE)
    assert reason in record["skipped"][path]
    assert [one["module"] for one in record["folds"]] == ["spare"]
    assert isinstance(getattr(folded, path), nn.BatchNorm2d)


def test_nothing_to_fold_leaves_no_record():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU()).double()
    same, records = ns.edits.fold(model, VECTOR)
    assert records == ns.records(same) == []
    assert ns.edits.fold(model, VECTOR, inplace=True)[0] is model


def test_in_place_keeps_parameter_objects():
    make, x, _ = FOLDED["conv"]
    model = made(make)
    weight, expected = model[0].weight, model(x)
    folded, _ = ns.edits.fold(model, x, inplace=True)
    assert folded is model
    assert model[0].weight is weight
    torch.testing.assert_close(model(x), expected)
