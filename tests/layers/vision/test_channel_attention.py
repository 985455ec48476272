"""The family that ECA-Net is compared with: each by its matrix, its parameters, and its channels that go."""

import pytest
import torch
from test_efficient_channel_attention import banded, maps
from torch import nn

import netsmith as ns
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.layers.vision import (
    KINDS,
    ChannelGate,
    EfficientChannelAttention,
    SqueezeExcitation,
    channel_attention,
)

PARAMETERS = {
    "eca": 3, "eca-ns": 3 * 32, "se": 2 * 32 * 2,
    "se-var1": 0, "se-var2": 32, "se-var3": 32 * 32, "se-gc": 64,
}  # fmt: skip


def gates(layer, x):
    return layer(x) / x


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_a_network_that_has_it_can_be_cut(kind, tmp_path):
    torch.manual_seed(0)
    attention = channel_attention(kind, 32)
    assert sum(p.numel() for p in attention.parameters()) == PARAMETERS[kind]
    first, head = nn.Conv2d(3, 32, 3), nn.Linear(32, 4)
    model = nn.Sequential(
        first, nn.BatchNorm2d(32), attention, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    ).eval()
    x = torch.randn(2, 3, 6, 6)
    small = ns.shrink(model, x, budget="macs=0.5")
    assert small[0].out_channels <= 16
    ns.save(small, tmp_path / "small.nsm")
    assert torch.equal(ns.load(tmp_path / "small.nsm")(x), small(x))


def test_squeeze_and_excitation_is_its_formula():
    layer, x = SqueezeExcitation(8, reduction=4).double(), maps(8)
    hidden = (x.mean((2, 3)) @ layer.squeeze.weight.T).relu()
    assert hidden.shape == (2, 2)
    expected = x * (hidden @ layer.excite.weight.T).sigmoid()[:, :, None, None]
    torch.testing.assert_close(layer(x), expected)


def test_a_full_matrix_that_is_banded_is_efficient_channel_attention():
    eca, full, x = EfficientChannelAttention(12, kernel=5).double(), ChannelGate(12).double(), maps(12)
    with torch.no_grad():
        full.mix.weight.copy_(banded(eca, 12))
    torch.testing.assert_close(full(x), eca(x))


def test_a_kernel_of_one_is_a_single_scale():
    eca, x = EfficientChannelAttention(6, kernel=1).double(), maps(6)
    diagonal = ChannelGate(6, mixing="diagonal").double()
    with torch.no_grad():
        diagonal.scale.fill_(float(eca.weight))
    torch.testing.assert_close(diagonal(x), eca(x))


def test_without_interaction_each_channel_sees_itself_alone():
    x = maps(8)
    torch.testing.assert_close(
        ChannelGate(8, mixing="none")(x), x * x.mean((2, 3)).sigmoid()[:, :, None, None]
    )
    blocks, other = ChannelGate(8, mixing="blocks", groups=2).double(), x.clone()
    other[:, :4] += 1
    torch.testing.assert_close(gates(blocks, other)[:, 4:], gates(blocks, x)[:, 4:])
    assert not torch.allclose(gates(blocks, other)[:, :4], gates(blocks, x)[:, :4])


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="unknown channel attention 'ECA'"):
        channel_attention("ECA", 8)
    with pytest.raises(NetsmithError, match="kernel=3: 'se' has none"):
        channel_attention("se", 8, kernel=3)
    with pytest.raises(NetsmithError, match="groups=16 does not divide 24 channels"):
        ChannelGate(24, mixing="blocks")
    with pytest.raises(UnknownNameError, match="unknown mixing 'diag'"):
        ChannelGate(8, mixing="diag")
    with pytest.raises(NetsmithError, match="reduction=0"):
        SqueezeExcitation(8, reduction=0)
