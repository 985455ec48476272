"""The planted task of ECA-Net's card: the brightness of its neighbours tells which channel shows the class.

Maps of 32 channels, 8x8 pixels. Every channel holds noise, a brightness of its own, and a grating of one of
four orientations with a random phase. In one channel the grating is that of the label; in all others it is
any. The two neighbours of that channel are brighter. So a gate that looks at neighbours can find the channel,
one that looks at the channel alone cannot.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from netsmith.layers import channel_attention
from netsmith.train import fit

CHANNELS, SIDE, CLASSES = 32, 8, 4
TRAIN, TEST = 2000, 2000
EPOCHS = 20
ARMS = ("none", "se-var1", "eca", "eca, channels permuted")


def accuracy(arm: str, seed: int, epochs: int = EPOCHS, train: int = TRAIN) -> float:
    """Return the test accuracy, in per cent, of one arm."""
    images, labels = maps(train + TEST, seed)
    if "permuted" in arm:
        images = images[:, torch.randperm(CHANNELS, generator=torch.Generator().manual_seed(seed))]
    torch.manual_seed(seed)
    model = network(arm.partition(",")[0])
    data = TensorDataset(images[:train], labels[:train])
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    fit(model, data, optimizer=adam, epochs=epochs, batch_size=100, seed=seed, progress=False)
    model.eval()
    with torch.no_grad():
        return 100 * float((model(images[train:]).argmax(1) == labels[train:]).float().mean())


def maps(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return images ``[count, 32, 8, 8]`` and their labels."""
    generator = torch.Generator().manual_seed(1000 + seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    shown = torch.randint(CLASSES, (count, CHANNELS), generator=generator)
    place = torch.randint(1, CHANNELS - 1, (count, 1), generator=generator)
    shown.scatter_(1, place, labels[:, None])
    brightness = 0.5 + 0.1 * torch.randn(count, CHANNELS, generator=generator)
    for side in (-1, 1):
        brightness.scatter_add_(1, place + side, torch.ones(count, 1))
    phase = 2 * math.pi * torch.rand(count, CHANNELS, 1, 1, generator=generator)
    angle = math.pi * shown[:, :, None, None] / CLASSES
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    wave = torch.sin(2 * math.pi / 4 * (rows * angle.sin() + columns * angle.cos()) + phase)
    noise = 0.3 * torch.randn(count, CHANNELS, SIDE, SIDE, generator=generator)
    return brightness[:, :, None, None] + wave + noise, labels


class SharedFilters(nn.Module):
    """The same 12 filters on every channel, summed over channels after the ReLU in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, 12, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean response of each filter over pixels and channels, ``[batch, 12]``."""
        responses = F.relu(self.filters(x.flatten(0, 1)[:, None])).mean((2, 3))
        return responses.unflatten(0, x.shape[:2]).mean(1)


def network(kind: str) -> nn.Sequential:
    """Return a small convolutional network with or without attention before it."""
    attention = nn.Identity() if kind == "none" else channel_attention(kind, CHANNELS)
    head = (nn.BatchNorm1d(12), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    return nn.Sequential(attention, SharedFilters(), *head)
