"""Stand-ins have the shapes and types that PyTorch itself comes to, and spare its slow imports."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten

from netsmith.graph.stand_ins import STAND_INS, stand_in

aten = torch.ops.aten


def check(operator, *args):
    """Compare a stand-in with the operator run for real; refusing (None) is always allowed."""
    on_meta = tuple(a.to("meta") if isinstance(a, torch.Tensor) else a for a in args)
    made = stand_in(operator.__name__.split(".")[0], on_meta, {})
    if made is None:
        return False
    expected, got = tree_flatten(operator(*args))[0], tree_flatten(made)[0]
    assert [(t.shape, t.dtype) for t in got] == [(t.shape, t.dtype) for t in expected]
    assert all(t.device.type == "meta" for t in got)
    return True


sides = st.integers(5, 9)


@settings(max_examples=60, deadline=None)
@given(
    sides,
    sides,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(1, 2),
    st.sampled_from([1, 2]),
)
def test_convolutions(height, width, kernel, stride, padding, dilation, groups):
    x, weight = torch.randn(2, 4, height, width), torch.randn(6, 4 // groups, kernel, kernel)
    args = (x, weight, None, [stride], [padding], [dilation], False, [0], groups)
    assert check(aten.convolution, *args)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(2, 3), st.integers(1, 3), st.integers(0, 1), st.booleans())
def test_max_pooling(height, width, kernel, stride, padding, ceil):
    x = torch.randn(2, 3, height, width)
    assert check(aten.max_pool2d_with_indices, x, [kernel, kernel], [stride], [padding], [1, 1], ceil)


@pytest.mark.parametrize("dims", [[1], [-1, -2], [0, 2]])
@pytest.mark.parametrize("keep", [False, True])
def test_reductions(dims, keep):
    assert check(aten.mean, torch.randn(2, 3, 4), dims, keep)
    assert check(aten.sum, torch.randn(2, 3, 4), dims, keep)


def test_products_and_pointwise():
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    assert check(aten.mm, a, b)
    assert check(aten.addmm, torch.randn(5), a, b)
    assert check(aten.bmm, torch.randn(2, 3, 4), torch.randn(2, 4, 5))
    assert check(aten.add, a, a.clone())
    assert check(aten.relu, a)
    mean, variance = torch.zeros(3), torch.ones(3)
    assert check(aten.native_batch_norm, torch.randn(2, 3, 4), None, None, mean, variance, False, 0.1, 1e-5)


def test_normalisations():
    x, weight = torch.randn(2, 4, 5, 6), torch.randn(4)
    assert check(aten.native_batch_norm, x, weight, weight, None, None, True, 0.1, 1e-5)
    assert check(aten.native_group_norm, x, weight, weight, 2, 4, 30, 2, 1e-5)
    for shape in ([6], [5, 6]):
        assert check(aten.native_layer_norm, x, shape, torch.randn(shape), None, 1e-5)
    assert not check(aten.native_layer_norm, x.transpose(1, 2), [6], None, None, 1e-5)


@pytest.mark.parametrize("size", [(7,), (7, 3), (7, 3, 5)])
def test_resampling(size):
    x = torch.randn(2, 3, *(4 for _ in size))
    linear = ("linear1d", "bilinear2d", "trilinear3d")[len(size) - 1]
    assert check(getattr(aten, f"upsample_{linear}"), x, list(size), False)
    assert check(getattr(aten, f"upsample_nearest{len(size)}d"), x, list(size))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("native_group_norm", (torch.empty(2, 4, 5), None, None, 2, 6, 5, 3, 1e-5)),
        ("native_layer_norm", (torch.empty(2, 4), [5], None, None, 1e-5)),
        ("mm", (torch.empty(3, 4), torch.empty(5, 6))),
        ("add", (torch.empty(3), torch.empty(3, 3))),
        (
            "convolution",
            (torch.empty(1, 3, 2, 2), torch.empty(4, 3, 5, 5), None, [1], [0], [1], False, [0], 1),
        ),
        (
            "convolution",
            (torch.empty(1, 5, 9, 9), torch.empty(4, 3, 3, 3), None, [1], [0], [1], False, [0], 1),
        ),
        ("sum", (torch.empty(3, dtype=torch.int32), [0])),
    ],
)
def test_what_is_not_plain_is_left_to_pytorch(name, args):
    assert name in STAND_INS
    assert stand_in(name, tuple(a.to("meta") if isinstance(a, torch.Tensor) else a for a in args), {}) is None


def test_tracing_a_convolutional_network_imports_no_compiler():
    code = (
        "import torch, sys, netsmith as ns\n"
        "net = ns.zoo.build('resnet20', classes=10, input_shape=(3, 32, 32))\n"
        "ns.shrink(net, torch.zeros(1, 3, 32, 32), ratio=0.5)\n"
        "print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_functional_twins_agree():
    x = torch.randn(1, 2, 7, 7)
    got, _ = stand_in("max_pool2d_with_indices", (x.to("meta"), [3, 3]), {})
    assert got.shape == F.max_pool2d(x, 3).shape
