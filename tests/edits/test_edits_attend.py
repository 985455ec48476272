"""Attention put into networks: where, with which kernels, and as a record like any other edit."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netsmith as ns
from netsmith.edits.attend import invert_record
from netsmith.errors import EditError, NetsmithError
from netsmith.layers.vision import RELEASED_KERNELS, EfficientChannelAttention

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Bottleneck(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = (
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if before != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def bottlenecks(blocks):
    """ResNet-50 and its like."""
    layers, before = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for number in range(count):
            layers.append(Bottleneck(before, width, 2 if stage and not number else 1))
            before = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 1000)).eval()


@pytest.mark.parametrize(("kernels", "parameters"), [(RELEASED_KERNELS["resnet50"], 80), (None, 86), (3, 48)])
def test_parameters_that_a_resnet50_gets(kernels, parameters):
    with torch.device("meta"):
        model, x = bottlenecks((3, 4, 6, 3)), torch.zeros(1, 3, 64, 64)
    attended, (record,) = ns.edits.attend(model, x, kernels=kernels)
    assert all(path.endswith("bn3") for path in record["layers"])
    assert ns.edits.describe(record) == f"eca after 16 modules, {parameters} parameters"
    more = sum(p.numel() for p in attended.parameters()) - sum(p.numel() for p in model.parameters())
    assert more == parameters


def test_the_rule_of_the_authors_mobilenet():
    with torch.device("meta"):
        model = ns.zoo.build("mobilenetv2", classes=10, input_shape=(3, 32, 32)).eval()
        x = torch.zeros(1, 3, 32, 32)
    _, (record,) = ns.edits.attend(
        model, x, kernels=lambda channels: 1 if channels < 96 else 3, after="features.*.body"
    )
    assert len(record["layers"]) == 17
    assert sum(layer["parameters"] for layer in record["layers"].values()) == 10 * 1 + 7 * 3


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_same_as_the_networks_own_option(shortcut):
    torch.manual_seed(0)
    plain = ns.zoo.build("resnet20", classes=4, input_shape=(3, 8, 8), shortcut=shortcut, width=0.5).eval()
    own = ns.zoo.build("eca-resnet20", classes=4, input_shape=(3, 8, 8), shortcut=shortcut, width=0.5).eval()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    attended, records = ns.edits.attend(plain, X)
    assert str(attended) == str(own)
    own.load_state_dict(attended.state_dict())
    torch.testing.assert_close(own(X), attended(X))
    torch.testing.assert_close(plain.state_dict(), before)
    assert records == json.loads(json.dumps(records)) == ns.records(attended)
    again = ns.replay(plain, records)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), attended.parameters(), strict=True))
    invert_record(again, records[0], None)
    assert str(again) == str(plain)
    torch.testing.assert_close(again(X), plain(X))


def test_an_attended_network_is_cut_saved_and_followed(tmp_path):
    torch.manual_seed(0)
    plain = ns.zoo.build("resnet20", classes=4, input_shape=(3, 8, 8), width=0.5).eval()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    F.cross_entropy(plain(X), torch.tensor([0, 1])).backward()
    optimizer.step()
    attended, _ = ns.edits.attend(plain, X)
    ns.edits.rebind(optimizer, plain, attended)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == set(map(id, attended.parameters()))
    small = ns.shrink(attended, X, budget="macs=0.4")
    assert [record["kind"] for record in ns.records(small)] == ["attend", "remove"]
    kernels = [layer.kernel for layer in small.modules() if isinstance(layer, EfficientChannelAttention)]
    assert kernels == [3] * 9
    ns.save(small, tmp_path / "small.nsm")
    assert torch.equal(ns.load(tmp_path / "small.nsm")(X), small(X))
    shallow = ns.shrink(attended, X, budget="macs=0.5", depth=True)
    assert ns.profile(shallow, X).total["macs"] <= 0.5 * ns.profile(attended, X).total["macs"]


class ReadsWeights(nn.Module):
    """Code that takes a module apart."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x):
        return x + self.norm(self.conv(x)) * self.norm.weight.abs().max()


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), {}, "no residual branch of maps"),
        (nn.Conv2d(3, 4, 1), {"after": "body"}, "no module that runs on these inputs has a path like 'body'"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), {"after": "1"}, "'1' does not put out maps"),
        (bottlenecks((1, 1)), {"kernels": (3, 5, 5)}, r"3 kernels for 2 widths \(256, 512\)"),
        (bottlenecks((1,)), {"kernels": 4}, "kernel=4"),
        (bottlenecks((1,)), {"kind": "cbam"}, "unknown channel attention 'cbam'"),
        (ReadsWeights(), {"after": "norm"}, "'Sequential' object has no attribute 'weight'"),
    ],
)
def test_what_cannot_be_done_is_not_begun(model, options, words):
    before = str(model)
    with pytest.raises(NetsmithError, match=words):
        ns.edits.attend(model, X, inplace=True, **options)
    assert str(model) == before


def test_in_place_keeps_the_parameters():
    model = bottlenecks((1,))
    weight = model[3].bn3.weight
    same, _ = ns.edits.attend(model, X, inplace=True)
    assert same is model
    assert model[3].bn3[0].weight is weight
    with pytest.raises(EditError, match="is not what attend made of it"):
        invert_record(bottlenecks((1,)), ns.records(model)[0], None)
