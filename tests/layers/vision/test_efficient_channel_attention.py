"""Efficient channel attention: the formula, the rule for its kernel, what it does not see, mistakes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netsmith.errors import NetsmithError
from netsmith.layers.vision import EfficientChannelAttention, adaptive_kernel


def banded(layer, channels):
    """The matrix that the layer is: row i has the kernel around column i."""
    matrix, kernel = torch.zeros(channels, channels, dtype=torch.float64), layer.kernel
    for i in range(channels):
        row = layer.weight[0, 0] if layer.shared else layer.weight[:, i]
        for position in range(kernel):
            j = i + position - kernel // 2
            if 0 <= j < channels:
                matrix[i, j] = row[position]
    return matrix


def maps(channels, seed=0):
    return torch.randn(2, channels, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 40), st.sampled_from([1, 3, 5, 7]), st.booleans(), st.integers(0, 99))
def test_output_is_that_of_the_banded_matrix(channels, kernel, shared, seed):
    if kernel > channels:
        return
    torch.manual_seed(seed)
    layer = EfficientChannelAttention(channels, kernel=kernel, shared=shared).double()
    assert sum(p.numel() for p in layer.parameters()) == (kernel if shared else kernel * channels)
    x = maps(channels, seed)
    gates = (x.mean((2, 3)) @ banded(layer, channels).T).sigmoid()
    torch.testing.assert_close(layer(x), x * gates[:, :, None, None], rtol=1e-12, atol=1e-12)


def test_the_rule_for_kernels():
    table = {16: 3, 32: 3, 64: 3, 128: 5, 256: 5, 512: 5, 1024: 5, 2048: 7}
    assert {channels: adaptive_kernel(channels) for channels in table} == table
    assert EfficientChannelAttention(2048).kernel == 7
    assert EfficientChannelAttention(2).kernel == 1  # not more than there are channels
    assert adaptive_kernel(256, gamma=1.0) == 9


def test_kernels_of_their_own_that_are_alike_are_one_kernel():
    one = EfficientChannelAttention(12, kernel=5)
    many = EfficientChannelAttention(12, kernel=5, shared=False)
    with torch.no_grad():
        many.weight.copy_(one.weight[0, 0][:, None].expand(5, 12))
    x = maps(12).float()
    torch.testing.assert_close(many(x), one(x))


def test_pixels_may_be_anywhere():
    layer, x = EfficientChannelAttention(8).double(), maps(8)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))

    def moved(y):
        return y.flatten(2)[..., order].reshape(y.shape)

    torch.testing.assert_close(layer(moved(x)), moved(layer(x)))


def test_large_maps_in_half_precision_do_not_overflow():
    layer = EfficientChannelAttention(4).half()
    assert layer(torch.full((1, 4, 128, 128), 60.0, dtype=torch.float16)).isfinite().all()


def test_gradients_reach_kernel_and_maps():
    for shared in (True, False):
        layer, x = EfficientChannelAttention(6, shared=shared).double(), maps(6).requires_grad_()
        assert torch.autograd.gradcheck(lambda y, layer=layer: layer(y), (x,))
        layer(x).sum().backward()
        assert layer.weight.grad.abs().min() > 0


def test_state_comes_back():
    first, second = (EfficientChannelAttention(8) for _ in range(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(nn.Sequential(second)[0].weight, first.weight)


@pytest.mark.parametrize(
    ("channels", "kernel", "words"),
    [(8, 4, "kernel=4"), (3, 5, "kernel=5 for 3 channels"), (0, None, "channels=0"), (8, -1, "kernel=-1")],
)
def test_mistakes_are_named(channels, kernel, words):
    with pytest.raises(NetsmithError, match=words):
        EfficientChannelAttention(channels, kernel=kernel)


def test_maps_are_wanted():
    with pytest.raises(NetsmithError, match=r"shape \(2, 8\); give maps \[batch, channels, height, width\]"):
        EfficientChannelAttention(8)(torch.zeros(2, 8))
    with pytest.raises(NetsmithError, match="gamma=0"):
        adaptive_kernel(8, gamma=0)
