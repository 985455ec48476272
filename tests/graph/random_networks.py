"""Random convolutional networks with branches, concats, groups, shuffles and gates, and other small nets."""

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

WIDTHS = (4, 8, 12)
KINDS = (
    "plain",
    "residual",
    "concat",
    "depthwise",
    "grouped",
    "shuffle",
    "excite",
    "glu",
    "split",
    "norm",
    "up",
)


class Residual(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width + 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width + 3)
        self.second = nn.Conv2d(width + 3, width, 1)
        self.last = nn.GroupNorm(2, width) if norm == "group" else nn.BatchNorm2d(width)

    def forward(self, x):
        return torch.sigmoid(x + self.last(self.second(F.relu(self.norm(self.first(x))))))


class Concat(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.left = nn.Conv2d(width, 5, 1)
        self.right = nn.Conv2d(width, 7, 3, padding=1)
        self.act = nn.PReLU(width + 12)

    def forward(self, x):
        return self.act(torch.cat([self.left(x), x, self.right(x).tanh()], dim=1))


class Shuffle(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.mix = nn.Conv2d(width, 2 * width, 1, groups=groups)

    def forward(self, x):
        x = self.mix(x)
        b, c, h, w = x.shape
        return x.view(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, c, h, w)


class Excite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, 6)
        self.up = nn.Linear(6, width)

    def forward(self, x):
        gate = self.up(F.silu(self.down(x.mean((2, 3))))).sigmoid()
        return x * gate[:, :, None, None]


class Split(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Conv2d(width // 2, width // 2, 3, padding=1)

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        return torch.cat([left, self.branch(right).sigmoid()], dim=1)


class Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x):
        return F.glu(self.value(x), dim=1)


class Norms(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.instance = nn.InstanceNorm2d(width, affine=True)
        self.layer = nn.LayerNorm(width)

    def forward(self, x):
        return self.layer(self.instance(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Up(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width * 4, 2, stride=2, groups=groups)

    def forward(self, x):
        return F.max_pool2d(F.pixel_shuffle(self.up(x), 2), 4)


def block(kind: str, width: int, groups: int) -> tuple[nn.Module, int]:
    """Return a block and the width it puts out."""
    groups = groups if width % groups == 0 else 1
    match kind:
        case "plain":
            return nn.Sequential(nn.Conv2d(width, 10, 3, padding=1), nn.BatchNorm2d(10), nn.Sigmoid()), 10
        case "residual":
            return Residual(width, "group" if width % 2 == 0 else "batch"), width
        case "concat":
            return Concat(width), width + 12
        case "depthwise":
            return nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 8, 1)
            ), 8
        case "grouped":
            return nn.Conv2d(width, 3 * groups, 3, padding=1, groups=groups), 3 * groups
        case "shuffle":
            return Shuffle(width, groups), 2 * width
        case "excite":
            return Excite(width), width
        case "glu":
            return Gated(width), width
        case "split":
            return (Split(width), width) if width % 2 == 0 else (nn.Identity(), width)
        case "norm":
            return Norms(width), width
    return Up(width, groups), width


class RandomNetwork(nn.Module):
    """A stem, some blocks, and a flattened linear head."""

    def __init__(self, kinds: list[str], width: int, groups: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        blocks = []
        for kind in kinds:
            made, width = block(kind, width, groups)
            blocks.append(made)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width * 4, 5)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
                nn.init.normal_(module.running_mean)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 2).flatten(1))


networks = st.builds(
    RandomNetwork,
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    width=st.sampled_from(WIDTHS),
    groups=st.sampled_from((2, 4)),
    seed=st.integers(0, 2**16),
)
