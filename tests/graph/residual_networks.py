"""Small networks with residual blocks of several kinds, by name: a constructor and its inputs."""

import torch
import torch.nn.functional as F
from torch import nn

import netsmith as ns


class PreNorm(nn.Module):
    """A transformer layer whose residual stream is touched by additions alone; it returns a tuple."""

    label = "pre"

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.heads, self.kind = heads, "full"
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 20), nn.Linear(20, width)

    def forward(self, x, mask=None, weights=False):
        b, t, c = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].transpose(-1, -2)
        attention = (scores if mask is None else scores + mask).softmax(-1)
        x = x + self.out((attention @ qkv[2]).transpose(1, 2).reshape(b, t, c))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return (x, attention) if weights else (x, None)


class PostNorm(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x, mask=None, weights=False):
        return self.norm(x + self.mix(x)), None


class Decoder(nn.Module):
    """Layers in a loop, called with keywords, their output unpacked, an attribute of theirs read."""

    def __init__(self, layer=PreNorm, depth=3, width=12, show=False):
        super().__init__()
        self.embed = nn.Embedding(11, width)
        self.layers = nn.ModuleList(layer(width) for _ in range(depth))
        self.norm, self.head, self.show = nn.LayerNorm(width), nn.Linear(width, 11), show

    def forward(self, ids):
        x = self.embed(ids)
        mask = torch.full((ids.shape[1],) * 2, -torch.inf, dtype=x.dtype, device=x.device).triu(1)
        for layer in self.layers:
            chosen = mask if getattr(layer, "kind", "") == "full" else None
            x, attention = layer(x, mask=chosen, weights=self.show)
        y = self.head(self.norm(x))
        return (y, attention) if self.show else y


class Windows(nn.Module):
    """The stream is rolled and cut up on the way, and comes back to where it was."""

    def __init__(self, shift=1, back=1):
        super().__init__()
        self.mix, self.shift, self.back = nn.Linear(4, 4), shift, back

    def forward(self, x):
        b, h, w, c = x.shape
        x = torch.roll(x, -self.shift, 1).view(b, h // 2, 2, w, c).transpose(2, 3)
        x = x + torch.tanh(self.mix(x))
        return torch.roll(x.transpose(2, 3).reshape(b, h, w, c), self.back, 1)


class Scaled(nn.Module):
    """x + gamma · body(x), with an in-place addition and a clamp after it."""

    def __init__(self, low=0.0, high=6.0):
        super().__init__()
        self.body, self.gamma = nn.Linear(5, 5), nn.Parameter(torch.full((5,), 0.3))
        self.low, self.high = low, high

    def forward(self, x):
        y = self.body(x) * self.gamma
        y += x
        return y.clamp(self.low, self.high)


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(5, 5)

    def forward(self, x):
        return (x + x) + self.body(x)


class Branchless(nn.Module):
    """Adds what comes from outside to its input; nothing of its own is a branch."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(5, 5)

    def forward(self, x, other):
        return x + other


IDS = torch.arange(10).reshape(2, 5)
VECTOR = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGE = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SEQUENCE = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SQUARE = torch.randn(2, 4, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def zoo(name):
    return ns.zoo.build(name, classes=4, input_shape=(3, 16, 16), width=0.5)


def clamped():
    return nn.Sequential(nn.Linear(5, 5), nn.ReLU6(), Scaled(), Scaled(-1, 7))


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(12, 2, 16, batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


STAGES = [f"stage{s}.{i}" for s in (1, 2, 3) for i in range(3) if (s, i) not in ((2, 0), (3, 0))]
NETWORKS = {
    "resnet20": (lambda: zoo("resnet20"), IMAGE, STAGES),
    "mobilenetv2": (
        lambda: zoo("mobilenetv2"),
        IMAGE,
        [f"features.{i}" for i in (5, 7, 8, 10, 11, 12, 14, 15, 17, 18)],
    ),
    "decoder": (Decoder, IDS, ["layers.0", "layers.1", "layers.2"]),
    "windows": (lambda: nn.Sequential(Windows(), Windows(1, 1)), SQUARE, ["0", "1"]),
    "clamped": (clamped, VECTOR, ["2", "3"]),
    "encoder-pre-norm": (lambda: encoder(True), SEQUENCE, ["layers.0", "layers.1"]),
    "encoder-post-norm": (lambda: encoder(False), SEQUENCE, []),
}
