"""The layer equals PyTorch's wherever that one runs, and goes on where it cannot: when heads were cut."""

import copy
import io

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.layers import MultiheadAttention

VARIANTS = {
    "plain": {},
    "batch first": {"batch_first": True},
    "no bias": {"bias": False},
    "other widths": {"kdim": 6, "vdim": 10},
    "bias of keys": {"add_bias_kv": True},
    "zero key": {"add_zero_attn": True},
}


def pair(**options):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(8, 4, **options).double().eval()
    ours = MultiheadAttention(8, 4, **options).double().eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def same(ours, theirs):
    for got, expected in zip(ours, theirs, strict=True):
        if expected is None:
            assert got is None
        else:
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_equals_pytorch_on_cross_attention(name, weights):
    options = VARIANTS[name]
    theirs, ours = pair(**options)
    batch, queries, keys = 2, 3, 5
    query = torch.randn(queries, batch, 8, dtype=torch.float64)
    key = torch.randn(keys, batch, options.get("kdim", 8), dtype=torch.float64)
    value = torch.randn(keys, batch, options.get("vdim", 8), dtype=torch.float64)
    if options.get("batch_first"):
        query, key, value = (tensor.transpose(0, 1) for tensor in (query, key, value))
    padding = torch.tensor([[False] * 5, [False, True, False, True, True]])
    causal = torch.ones(queries, keys).triu(1).bool()
    per_head = torch.randn(batch * 4, queries, keys, dtype=torch.float64)
    for masks in (
        {},
        {"key_padding_mask": padding},
        {"attn_mask": causal, "key_padding_mask": padding},
        {"attn_mask": per_head},
    ):
        arguments = {"need_weights": weights, **masks}
        same(ours(query, key, value, **arguments), theirs(query, key, value, **arguments))


def test_equals_pytorch_on_self_attention_and_its_gradients():
    theirs, ours = pair(batch_first=True)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    same(ours(x, x, x, average_attn_weights=False), theirs(x, x, x, average_attn_weights=False))
    for layer in (theirs, ours):
        layer(x, x, x)[0].square().sum().backward()
    for got, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(got.grad, expected.grad)


def test_equals_pytorch_without_a_batch():
    theirs, ours = pair()
    x, memory = torch.randn(3, 8, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    hidden = torch.tensor([False, True, False, False, True])
    same(ours(x, memory, memory, key_padding_mask=hidden), theirs(x, memory, memory, key_padding_mask=hidden))


def test_a_causal_hint_needs_its_mask():
    x = torch.zeros(3, 1, 8)
    with pytest.raises(RuntimeError, match="attn_mask"):
        MultiheadAttention(8, 2)(x, x, x, is_causal=True)


class Encoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.enter = nn.Linear(5, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.leave = nn.Linear(16, 3)

    def forward(self, x, padding=None):
        return self.leave(self.encoder(self.enter(x), src_key_padding_mask=padding))


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter = nn.Linear(5, 16)
        self.transformer = nn.Transformer(16, 4, 1, 1, 32, dropout=0.0)
        self.leave = nn.Linear(16, 3)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[0])
        decoded = self.transformer(self.enter(source), self.enter(target), tgt_mask=mask, tgt_is_causal=True)
        return self.leave(decoded)


MODELS = {
    "encoder": (Encoder, (torch.randn(2, 7, 5),)),
    "pre-norm encoder": (lambda: Encoder(norm_first=True), (torch.randn(2, 7, 5),)),
    "masked encoder": (
        Encoder,
        (torch.randn(2, 4, 5), torch.tensor([[False] * 4, [False, False, True, True]])),
    ),
    "encoder and decoder": (Sequences, (torch.randn(7, 2, 5), torch.randn(4, 2, 5))),
}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("name", MODELS)
def test_heads_head_width_hidden_units_and_width_go_from_pytorchs_transformers(name, tmp_path):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().eval()
    before = copy.deepcopy(model.state_dict())
    smaller = ns.shrink(model, inputs, ratio=0.5, scope="local")  # verified against the masked original
    attention = next(module for module in smaller.modules() if isinstance(module, MultiheadAttention))
    assert (attention.num_heads, attention.head_dim, attention.embed_dim) == (2, 2, 8)
    assert attention.in_proj_weight.shape == (12, 8)
    assert attention.scale == pytest.approx(0.5)
    original = next(module for module in model.modules() if isinstance(module, nn.MultiheadAttention))
    assert type(original) is nn.MultiheadAttention
    torch.testing.assert_close(model.state_dict(), before)
    with torch.no_grad():
        expected = smaller(*inputs)
    ns.save(smaller, tmp_path / "small.nsm")
    with torch.no_grad():
        torch.testing.assert_close(ns.load(tmp_path / "small.nsm", classes=[type(model)])(*inputs), expected)
        torch.testing.assert_close(ns.edits.replay(model, ns.records(smaller)).eval()(*inputs), expected)
    twice = ns.shrink(smaller, inputs, ratio=0.5, scope="local")
    assert next(m for m in twice.modules() if isinstance(m, MultiheadAttention)).num_heads == 1


def test_a_cut_encoder_exports(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(2, 7, 5)
    smaller = ns.shrink(Encoder().eval(), x, ratio=0.5, scope="local")
    ns.export(smaller, x, tmp_path / "encoder.onnx")  # refuses an output that differs


def test_a_users_own_subclass_stays_whole():
    class Mine(nn.MultiheadAttention):
        pass

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = Mine(8, 2)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    assert ns.trace(Net(), torch.randn(3, 1, 8)).groups == []


def test_a_pickled_layer_keeps_its_scale():
    layer = MultiheadAttention(8, 2)
    layer.scale = 0.25
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    assert torch.load(file, weights_only=False).scale == 0.25
