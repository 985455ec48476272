"""Small networks of torch.nn alone, each for one thing that is hard to follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Architecture = tuple[str, Callable[[], nn.Module], Any]


class Recurrent(nn.Module):
    """A recurrent layer and a head on all its outputs."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.recurrent = getattr(nn, kind)(12, 32, **options)
        width = (options.get("proj_size") or 32) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0])


class LastState(nn.Module):
    """A classifier on the last hidden state of a GRU that gets its first state from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.start = nn.Linear(7, 32)
        self.recurrent = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(tokens), self.start(context)[None])[1][-1])


class StatesReturned(nn.Module):
    """A language model that takes and hands back the states of its LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.recurrent = nn.LSTM(16, 32, num_layers=2)
        self.head = nn.Linear(32, 40)

    def forward(self, tokens: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output, (hidden, cell) = self.recurrent(self.embedding(tokens), (hidden, cell))
        return self.head(output), hidden, cell


class Packed(nn.Module):
    """Sequences of different lengths, packed."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        self.recurrent = nn.LSTM(16, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = torch.tensor([7, 5, 3])
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True)
        output, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)
        return self.head(output.mean(1))


class CellLoop(nn.Module):
    """A recurrent cell in a loop written by hand."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = getattr(nn, kind)(12, 32)
        self.head = nn.Linear(32, 5)
        self.width = 32

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.new_zeros(x.shape[0], self.width)
        memory = torch.zeros_like(hidden)
        for step in range(x.shape[1]):
            if isinstance(self.cell, nn.LSTMCell):
                hidden, memory = self.cell(x[:, step], (hidden, memory))
            else:
                hidden = self.cell(x[:, step], hidden)
        return self.head(hidden)


class Encoder(nn.Module):
    """A classifier on an ``nn.TransformerEncoder``."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 32)
        self.position = nn.Parameter(torch.randn(10, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(tokens) + self.position).mean(1))


class SequenceToSequence(nn.Module):
    """``nn.Transformer`` between two embeddings and a head, with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(40, 32), nn.Embedding(30, 32)
        self.transformer = nn.Transformer(32, 4, 2, 2, 64, batch_first=True)
        self.head = nn.Linear(32, 30)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.head(self.transformer(self.source(source), self.target(target), tgt_mask=mask))


class Decoder(nn.Module):
    """An ``nn.TransformerDecoder`` on a memory of another width."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.embedding = nn.Linear(12, 32), nn.Embedding(30, 32)
        layer = nn.TransformerDecoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, 2)
        self.head = nn.Linear(32, 30)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        return self.head(self.decoder(self.embedding(tokens), self.memory(memory)))


class CrossAttention(nn.Module):
    """``nn.MultiheadAttention`` with keys and values of widths of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(12, 32), nn.Linear(9, 24)
        self.attention = nn.MultiheadAttention(32, 4, kdim=24, vdim=24, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        key = self.key(context)
        return self.head(self.attention(self.query(x), key, key, need_weights=False)[0])


class FusedAttention(nn.Module):
    """Self-attention with one projection for queries, keys and values, and a residual MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 4
        self.embedding = nn.Linear(12, 32)
        self.norm, self.qkv, self.out = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.mlp = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        batch, time, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, time, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, time, -1)
        x = x + self.out(mixed)
        return self.head(x + self.mlp(x))


class TiedLanguageModel(nn.Module):
    """The embedding's weight is the head's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.recurrent = nn.Embedding(40, 32), nn.GRU(32, 32, batch_first=True)
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(tokens))[0])


class BagOfWords(nn.Module):
    """``nn.EmbeddingBag`` of bags that lie end to end."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.bag, self.hidden, self.head = (
            nn.EmbeddingBag(40, 32, mode=mode),
            nn.Linear(32, 24),
            nn.Linear(24, 5),
        )

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        return self.head(F.relu(self.hidden(self.bag(tokens, offsets))))


class TwoTowers(nn.Module):
    """``nn.Bilinear`` on two towers."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(12, 32), nn.Linear(9, 24)
        self.both, self.head = nn.Bilinear(32, 24, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head(self.both(self.left(x).relu(), self.right(y).relu()).relu())


class Gated(nn.Module):
    """A gated convolution: half of the channels decide what passes of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(6, 32, 3, padding=1), nn.Conv1d(16, 48, 3, padding=1)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.glu(self.first(x), dim=1)
        value, gate = self.second(x).chunk(2, dim=1)
        return self.head((torch.tanh(value) * torch.sigmoid(gate)).mean(-1))


class UNet(nn.Module):
    """Down, up, and the way across concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.bottom = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU())
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.last = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        across = F.relu(self.first(x))
        return self.last(torch.cat([across, self.up(self.bottom(F.relu(self.down(across))))], 1))


class Dense(nn.Module):
    """Every layer sees what all before it made."""

    def __init__(self) -> None:
        super().__init__()
        widths = [16 + 8 * layer for layer in range(4)]
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(w), nn.ReLU(), nn.Conv2d(w, 8, 3, padding=1)) for w in widths
        )
        self.head = nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(torch.cat(found, 1).mean((2, 3)))


class Shuffled(nn.Module):
    """Grouped convolutions with the channels shuffled between them, by hand or by ``nn.ChannelShuffle``."""

    def __init__(self, *, by_hand: bool) -> None:
        super().__init__()
        self.groups = 4
        self.first, self.second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 1, groups=4)
        self.shuffle = None if by_hand else nn.ChannelShuffle(4)
        self.third, self.head = nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu()
        if self.shuffle is None:
            batch, channels, height, width = x.shape
            x = x.view(batch, self.groups, channels // self.groups, height, width)
            x = x.transpose(1, 2).reshape(batch, channels, height, width)
        else:
            x = self.shuffle(x)
        return self.head(self.third(x).relu().mean((2, 3)))


class SqueezeExcite(nn.Module):
    """Channels weighed by what all of them say, in a residual block with a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.Hardswish())
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.squeeze, self.excite = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.depthwise(x)
        y = y * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return self.head((x + y).flatten(2).mean(-1))


class UnequalSplit(nn.Module):
    """A split into parts of unequal widths, and a slice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(24, 16, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.first(x).relu().split([8, 24], dim=1)
        left, right = self.left(left), self.right(right)
        return self.head((left * right).mean((2, 3)))


class PartPassed(nn.Module):
    """The first channels are worked on, the others pass."""

    def __init__(self) -> None:
        super().__init__()
        self.worked = 12
        self.first, self.middle = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        worked, passed = x[:, : self.worked], x[:, self.worked :]
        return self.head(torch.cat([self.middle(worked).relu(), passed], 1).mean((2, 3)))


class Functional(nn.Module):
    """Raw parameters and calls of ``torch.nn.functional``."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.randn(32, 3, 3, 3)), nn.Parameter(torch.randn(32))
        self.mix, self.out = nn.Parameter(torch.randn(32, 24)), nn.Parameter(torch.randn(5, 24))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, self.bias, padding=1).relu().mean((2, 3))
        return torch.einsum("bi,ji->bj", torch.tanh(x @ self.mix), self.out)


class Autoencoder(nn.Module):
    """The decoder uses the encoder's weight transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.bias = nn.Linear(12, 32), nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.t(), self.bias)


class Experts(nn.Module):
    """A soft mixture of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(12, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(12, 32), nn.SiLU(), nn.Linear(32, 16)) for _ in range(4)
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x).softmax(-1)
        found = torch.stack([expert(x) for expert in self.experts], -1)
        return self.head((found * weights[:, None]).sum(-1))


class SuperResolution(nn.Module):
    """Channels become pixels and pixels become channels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(12, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1),
            nn.PixelShuffle(2), nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def convolutional(dims: int, *, transposed: bool = False) -> nn.Module:
    """Two convolutions with a normalisation, in one to three dimensions."""
    kind = f"ConvTranspose{dims}d" if transposed else f"Conv{dims}d"
    layer, norm, pool = (getattr(nn, name) for name in (kind, f"BatchNorm{dims}d", f"AdaptiveAvgPool{dims}d"))
    body = [layer(3, 16, 3, padding=1), norm(16), nn.ReLU(), layer(16, 24, 3, stride=2), nn.ELU()]
    return nn.Sequential(*body, pool(1), nn.Flatten(), nn.Linear(24, 5))


def normalised(norm: Callable[[int], nn.Module]) -> nn.Module:
    """A convolutional network with the same normalisation twice."""
    body = [nn.Conv2d(3, 32, 3, padding=1), norm(32), nn.ReLU(), nn.Conv2d(32, 16, 3), norm(16), nn.PReLU(16)]
    return nn.Sequential(*body, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 5))


def reparametrized(how: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A network whose weights are computed from other parameters."""
    body = [how(nn.Conv2d(3, 32, 3)), nn.ReLU(), how(nn.Conv2d(32, 16, 3)), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*body, how(nn.Linear(16 * 16, 24)), nn.ReLU(), nn.Linear(24, 5))


def perceptron(*between: nn.Module) -> nn.Module:
    """Linear layers with something between them."""
    return nn.Sequential(nn.Linear(12, 64), *between, nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))


def architectures() -> Iterator[Architecture]:
    """Yield name, constructor and inputs of every network."""
    yield from recurrent()
    yield from attentive()
    yield from convolutions()
    yield from others()


def recurrent() -> Iterator[Architecture]:
    """Yield the recurrent ones."""
    x = torch.randn(6, 3, 12)
    for kind in ("RNN", "LSTM", "GRU"):
        yield kind, lambda kind=kind: Recurrent(kind), x
        deep = {"num_layers": 2, "bidirectional": True, "batch_first": True}
        yield f"{kind}, two layers both ways", lambda kind=kind, deep=deep: Recurrent(kind, **deep), x
        yield f"{kind}Cell in a loop", lambda kind=kind: CellLoop(f"{kind}Cell"), x
    yield "LSTM with projection", lambda: Recurrent("LSTM", proj_size=16, num_layers=2), x
    yield "LSTM without bias", lambda: Recurrent("LSTM", bias=False), x
    tokens = torch.randint(0, 40, (3, 7))
    yield "GRU with its first state given", LastState, (tokens, torch.randn(3, 7))
    states = torch.randn(2, 3, 32), torch.randn(2, 3, 32)
    yield "LSTM with states in and out", StatesReturned, (tokens.t().contiguous(), *states)
    yield "LSTM on packed sequences", Packed, tokens
    yield "tied language model", TiedLanguageModel, tokens


def attentive() -> Iterator[Architecture]:
    """Yield those with attention."""
    tokens = torch.randint(0, 30, (3, 10))
    yield "TransformerEncoder", Encoder, tokens
    yield "TransformerEncoder, norm first", lambda: Encoder(norm_first=True, activation="gelu"), tokens
    yield "TransformerDecoder", Decoder, (tokens, torch.randn(3, 6, 12))
    yield "Transformer", SequenceToSequence, (tokens, tokens[:, :8])
    yield "MultiheadAttention, cross", CrossAttention, (torch.randn(3, 7, 12), torch.randn(3, 6, 9))
    yield "attention, fused projections", FusedAttention, torch.randn(3, 7, 12)


def convolutions() -> Iterator[Architecture]:
    """Yield the convolutional ones."""
    image = torch.randn(2, 3, 20, 20)
    for dims in (1, 2, 3):
        x = torch.randn(2, 3, *[9] * dims)
        yield f"Conv{dims}d", lambda dims=dims: convolutional(dims), x
        yield f"ConvTranspose{dims}d", lambda dims=dims: convolutional(dims, transposed=True), x
    norms: dict[str, Callable[[int], nn.Module]] = {
        "GroupNorm": lambda width: nn.GroupNorm(4, width),
        "InstanceNorm2d": lambda width: nn.InstanceNorm2d(width, affine=True),
        "InstanceNorm2d with running statistics": lambda width: nn.InstanceNorm2d(
            width, track_running_stats=True
        ),
        "LocalResponseNorm": lambda _: nn.LocalResponseNorm(3),
    }
    for name, norm in norms.items():
        yield name, lambda norm=norm: normalised(norm), image
    yield "gated convolution", Gated, torch.randn(2, 6, 11)
    yield "U-Net", UNet, torch.randn(2, 3, 16, 16)
    yield "dense concatenation", Dense, image
    yield "channel shuffle by hand", lambda: Shuffled(by_hand=True), image
    yield "ChannelShuffle", lambda: Shuffled(by_hand=False), image
    yield "squeeze and excite, depthwise", SqueezeExcite, image
    yield "unequal split", UnequalSplit, image
    yield "part of the channels passed", PartPassed, image
    yield "pixel shuffle", SuperResolution, torch.randn(2, 3, 16, 16)
    yield "weight_norm", lambda: reparametrized(parametrizations.weight_norm), torch.randn(2, 3, 8, 8)
    yield "spectral_norm", lambda: reparametrized(parametrizations.spectral_norm), torch.randn(2, 3, 8, 8)


def others() -> Iterator[Architecture]:
    """Yield the rest."""
    x = torch.randn(4, 12)
    yield "MLP", lambda: perceptron(nn.ReLU()), x
    yield "MLP, LayerNorm", lambda: perceptron(nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.5)), x
    yield "MLP, RMSNorm", lambda: perceptron(nn.RMSNorm(64), nn.SiLU()), x
    yield "MLP, BatchNorm1d", lambda: perceptron(nn.BatchNorm1d(64), nn.Mish()), x
    glu = lambda: nn.Sequential(nn.Linear(12, 64), nn.GLU(), nn.Linear(32, 5))  # noqa: E731
    yield "MLP, GLU", glu, x
    bags = (torch.randint(0, 40, (12,)), torch.tensor([0, 4, 9]))
    for mode in ("mean", "sum", "max"):
        yield f"EmbeddingBag, {mode}", lambda mode=mode: BagOfWords(mode), bags
    yield "Bilinear", TwoTowers, (torch.randn(4, 12), torch.randn(4, 9))
    yield "functional, raw parameters", Functional, torch.randn(2, 3, 8, 8)
    yield "autoencoder with tied weights", Autoencoder, x
    yield "soft mixture of experts", Experts, x
