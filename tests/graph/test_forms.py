"""Forms a forward pass can take: what each frees and what it freezes, and that every cut is exact."""

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove

X = torch.randn(3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Form(nn.Module):
    """A linear layer, what ``form`` makes of its output ``h [3, 5, 8]``, and a linear layer."""

    def __init__(self, form, width=8):
        super().__init__()
        self.form = form
        self.a, self.c, self.last = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(width, 2)
        self.gain, self.square = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8, 8))
        self.heads, self.unheads = nn.Parameter(torch.randn(8, 4, 3)), nn.Parameter(torch.randn(4, 3, 7))

    def forward(self, x):
        return self.last(self.form(self, x, self.a(x)))


class Complex(Form):
    def __init__(self, form, width=8):
        super().__init__(form, width)
        self.pairs = nn.Linear(6, 16)
        self.filter = nn.Parameter(torch.randn(3, 8, dtype=torch.complex128))
        self.matrix = nn.Parameter(torch.randn(8, 4, dtype=torch.complex128))
        self.parts = nn.Parameter(torch.randn(6, 8, 2))


def out_form(self, x, h):
    result = torch.empty_like(h)
    torch.add(h, self.c(x), out=result)
    return result


def out_product(self, x, h):
    result = torch.empty(15, h.shape[-1], dtype=x.dtype)
    return torch.mm(x.reshape(15, 6), self.c.weight.T, out=result)


def assigned(self, x, h):
    made = h.new_zeros(h.shape)
    made[:, :2] = h[:, :2]
    made[:, 2:] += self.c(x)[:, 2:]
    made[made < 0] = 0.5
    return made


def in_place(self, x, h):
    h += self.c(x)
    h.view(15, -1).mul_(self.gain)
    h.transpose(1, 2).add_(self.gain[:, None])
    return h.relu_().clamp_(max=2)


def until_small(self, x, h):
    for _ in range(3):
        if float(x.abs().sum()) < 1:
            break
        h, x = torch.tanh(self.c(x)) * h, x / 20
    return h


def chosen(self, x, h):
    best = x.sum(-1).topk(2, dim=1).indices
    return h.gather(1, best[..., None].expand(-1, -1, h.shape[-1]))


class Square(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context, gradient):
        return 2 * gradient * context.saved_tensors[0]


def attention(self, x, h):
    weights = torch.einsum("btc,bsc->bts", h, h).softmax(-1)
    return torch.einsum("bts,bsc->btc", weights, h)


def heads(self, x, h):
    return torch.einsum("bthd,hdc->btc", torch.einsum("btc,chd->bthd", h, self.heads), self.unheads)


def rotated(self, x, _):
    turned = torch.view_as_complex(self.pairs(x).view(3, 5, -1, 2)) * torch.polar(self.gain.abs(), self.gain)
    return torch.view_as_real(turned).sum(-1)


def global_filter(self, x, h):
    return torch.fft.irfft(torch.fft.rfft(h, dim=1) * self.filter, n=5, dim=1)


def energy_gradient(self, x, h):
    return vmap(vmap(grad(lambda row: self.c(row).tanh().sum())))(x) @ self.a.weight.T


@torch.jit.script
def script_gate(a, b):
    return torch.sigmoid(a) * b


FORMS = {
    "out=": (Form, out_form, [8]),
    "out= of a product": (Form, out_product, [8]),
    "in place": (Form, in_place, [8]),
    "assignment": (Form, assigned, [8]),
    "addcmul and lerp": (Form, lambda s, x, h: torch.addcmul(h, s.c(x), s.gain).lerp_(s.c(x), 0.3), [8]),
    "control flow on data": (Form, until_small, [8]),
    "positions by value": (Form, chosen, [8]),
    "boolean mask": (Form, lambda s, x, h: h[x.sum(-1) > 0], [8]),
    "nonzero": (Form, lambda s, x, h: h[tuple((x.sum(-1) > 0).nonzero().T)], [8]),
    "item": (Form, lambda s, x, h: h * x.mean().item(), [8]),
    "extremum of all": (Form, lambda s, x, h: h / h.abs().max(), [8]),
    "maximum of two": (Form, lambda s, x, h: torch.max(h, s.c(x)), [8]),
    "numpy": (Form, lambda s, x, h: h * torch.from_numpy(x.numpy().mean(keepdims=True)), [8]),
    "functional call": (
        Form,
        lambda s, x, h: functional_call(s.c, {k: 2 * v for k, v in s.a.named_parameters()}, (x,)),
        [8],
    ),
    "raw parameters": (Form, lambda s, x, h: F.linear(x, s.a.weight * s.gain[:, None], s.a.bias), [8]),
    "vmap": (Form, lambda s, x, h: vmap(lambda row: s.a(row).relu())(x), [8]),
    "vmap of vmap": (Form, lambda s, x, h: vmap(vmap(lambda row: s.a.weight @ row))(x), [8]),
    "gradient": (Form, energy_gradient, [8, 8]),
    "autograd function": (Form, lambda s, x, h: Square.apply(h), [8]),
    "checkpoint": (
        Form,
        lambda s, x, h: checkpoint(lambda y: s.a(y).relu() * s.gain, x, use_reentrant=False),
        [8],
    ),
    "scripted function": (
        Form,
        lambda s, x, h: script_gate(h, s.c(x)),
        [8],
    ),
    "sparse constant": (Form, lambda s, x, h: torch.eye(15).double().to_sparse_csr() @ h.flatten(0, 1), [8]),
    "einsum heads": (lambda f: Form(f, 7), heads, [8, 4, 3, 7]),
    "einsum attention": (Form, attention, [8]),
    "einsum ellipsis": (Form, lambda s, x, h: torch.einsum("...c,cd->...d", h, s.square), [8, 8]),
    "einsum diagonal": (Form, lambda s, x, h: torch.einsum("btc,cc->btc", h, s.square), [8]),
    "einsum product": (Form, lambda s, x, h: torch.einsum("btc,btd,cd->btd", h, h, s.square), [8]),
    "einsum sum": (Form, lambda s, x, h: torch.einsum("btc->bc", h), [8]),
    "tensordot": (
        lambda f: Form(f, 7),
        lambda s, x, h: torch.tensordot(torch.tensordot(h, s.heads, 1), s.unheads, 2),
        [8, 4, 3, 7],
    ),
    "bilinear": (Form, lambda s, x, h: F.bilinear(h, s.c(x), s.square[:, :, None] * s.gain), [8, 8, 8]),
    "summed batches": (
        Form, lambda s, x, h: torch.addbmm(s.c(x)[0], h.softmax(1), torch.stack([s.square] * 3)), [8, 8]
    ),
    "complex pairs": (Complex, rotated, [8, 8]),
    "complex parameter": (lambda f: Complex(f, 4), lambda s, x, h: ((h + 0j) @ s.matrix).abs(), [8, 4]),
    "complex view of a parameter": (
        Complex, lambda s, x, h: ((x + 0j) @ torch.view_as_complex(s.parts)).abs(), [8, 8]
    ),
    "conjugate": (Complex, lambda s, x, h: (torch.complex(h, h.sin()).conj() * (h + 1j * s.c(x))).imag, [8]),
    "angle": (Complex, lambda s, x, h: torch.polar(h.abs(), h).angle(), [8]),
    "fft over positions": (Complex, lambda s, x, h: torch.fft.rfft(h, dim=1).abs(), [8]),
    "global filter": (Complex, global_filter, [8]),
}  # fmt: skip


def make(constructor, form):
    torch.manual_seed(0)
    with torch.device("cpu"):
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return constructor(form).eval()
        finally:
            torch.set_default_dtype(default)


def check_exact(model, inputs):
    """Cut at random thrice; return the sizes of the groups."""
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    graph = ns.trace(model, inputs)
    for seed in range(3):
        keep = random_keep(graph, seed)
        expected = masked_output(model, inputs, graph, keep)
        small, _ = remove(model, graph, keep)
        with torch.no_grad():
            pairs = zip(tree_leaves(small(*arguments)), tree_leaves(expected), strict=True)
            assert all(relative_difference(got, want) <= 1e-10 for got, want in pairs)
    return sorted(group.size for group in graph.groups)


@pytest.mark.parametrize("name", FORMS)
def test_form_is_cut_exactly(name):
    constructor, form, expected = FORMS[name]
    assert check_exact(make(constructor, form), X) == sorted(expected)


FROZEN = {
    "fft over channels": (Complex, lambda s, x, h: torch.fft.fft(h, dim=-1).real, "Fourier transform"),
    "product into a literal": (
        Form,
        lambda s, x, h: torch.mm(h[0], s.square, out=torch.empty(5, 8, dtype=x.dtype)),
        "made in the forward pass",
    ),
    "scripted module": (lambda f: scripted(Form(f)), lambda s, x, h: s.c(x), "compiled by torch.jit"),
    "sparse parameter": (lambda f: sparse(Form(f)), lambda s, x, h: s.c(x) @ s.table, "stored sparsely"),
}


def scripted(model):
    model.c = torch.jit.script(model.c)
    return model


def sparse(model):
    model.register_buffer("table", torch.eye(8).to_sparse_csr())
    return model


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("name", FROZEN)
def test_form_freezes_with_a_reason(name):
    constructor, form, reason = FROZEN[name]
    model = make(constructor, form)
    check_exact(model, X)
    graph = ns.trace(model, X)
    assert reason in graph.frozen["last.weight", 1]


class Sequence(nn.Module):
    def __init__(self, kind, read="padded", **options):
        super().__init__()
        self.layer, self.read = getattr(nn, kind)(6, 8, batch_first=True, **options), read
        width = (options.get("proj_size") or 8) * (
            2 if options.get("bidirectional") and read != "last" else 1
        )
        self.last = nn.Linear(width, 2)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, state = self.layer(packed)
        if self.read == "last":
            return self.last((state[0] if isinstance(state, tuple) else state)[-1])
        return self.last(pad_packed_sequence(output, batch_first=True, total_length=5)[0])


OPTIONS = {
    "plain": ({}, [8]),
    "deep both ways": ({"num_layers": 2, "bidirectional": True}, [8]),
    "last state": ({"num_layers": 2, "read": "last"}, [8]),
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_packed_sequences(kind, options):
    torch.manual_seed(0)
    model = Sequence(kind, **OPTIONS[options][0]).double().eval()
    assert check_exact(model, (X, torch.tensor([3, 5, 1]))) == OPTIONS[options][1]


def test_packed_sequences_of_a_projected_lstm():
    torch.manual_seed(0)
    model = Sequence("LSTM", proj_size=4, num_layers=2).double().eval()
    assert check_exact(model, (X, torch.tensor([3, 5, 1]))) == [4, 8]


class States(nn.Module):
    """Two recurrent layers; the state of the first starts the second, and may come in and go out."""

    def __init__(self, kind, *, given):
        super().__init__()
        self.one, self.two = (
            getattr(nn, kind)(6, 8, batch_first=True),
            getattr(nn, kind)(8, 8, batch_first=True),
        )
        self.last, self.given = nn.Linear(8, 2), given

    def forward(self, x, *state):
        output, first = self.one(x, *state)
        output, second = self.two(output, first)
        return (self.last(output), second) if self.given else self.last(output)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_states_inside_are_free_and_those_of_the_caller_stay(kind):
    torch.manual_seed(0)
    state = torch.zeros(1, 3, 8, dtype=torch.float64)
    inputs = (X, (state, state) if kind == "LSTM" else state)
    assert check_exact(States(kind, given=False).double().eval(), X) == [8]
    model = States(kind, given=True).double().eval()
    assert check_exact(model, X) == []
    frozen = ns.trace(model, inputs).frozen
    assert "model's" in frozen["one.weight_hh_l0", 1] or "index that stays" in frozen["one.weight_hh_l0", 1]


@pytest.mark.parametrize("mode", ["sum", "mean", "max", "weighted"])
def test_embedding_bags(mode):
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.EmbeddingBag(11, 8, mode="sum" if mode == "weighted" else mode)
            self.last = nn.Linear(8, 2)

        def forward(self, ids, offsets):
            weights = torch.linspace(0, 1, len(ids)).double() if mode == "weighted" else None
            return self.last(self.table(ids, offsets, weights).relu())

    torch.manual_seed(0)
    model = Bag().double().eval()
    inputs = torch.tensor([1, 2, 3, 4, 5, 9, 1]), torch.tensor([0, 3, 5])
    assert check_exact(model, inputs) == [8]
    assert ns.shrink(model, inputs, ratio=0.5).table.embedding_dim == 4
