"""ECA-Net on images: the network it is counted in, the time of a step, training far below the card's size."""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsmith as ns
from common import Evidence
from netsmith.train import fit

PAIRS = 20
CIFAR = {"train_size": 3000, "test_size": 2000}
CIFAR_EPOCHS, CIFAR_SEEDS, CIFAR_WIDTH = 4, 3, 0.5


def step_time(evidence: Evidence) -> None:
    """Compare training steps of ResNet-20 with and without attention, in processor time, taking turns."""
    x, y = torch.randn(128, 3, 32, 32), torch.randint(10, (128,))
    models = {
        kind: ns.zoo.build("resnet20", classes=10, input_shape=(3, 32, 32), attention=kind)
        for kind in (None, "eca", "se")
    }
    times: dict[str | None, list[float]] = {kind: [] for kind in models}
    for turn in range(PAIRS + 1):
        for kind in list(models) if turn % 2 else list(models)[::-1]:
            began = time.process_time()
            F.cross_entropy(models[kind](x), y).backward()
            times[kind].append(time.process_time() - began)
    for kind in ("eca", "se"):
        ratio = statistics.median(a / b for a, b in zip(times[kind][1:], times[None][1:], strict=True))
        evidence.row(
            f"training step of ResNet-20, batch 128, with {kind} over without: median of {PAIRS} pairs, "
            "processor time", reference="<= 1.15", got=ratio, holds=ratio <= 1.15,
        )  # fmt: skip


def cifar(evidence: Evidence) -> None:
    """ResNet-20 on images, far below the card's size: equal epochs, data and seeds for all."""
    task = ns.tasks.load("cifar10-jpeg", **CIFAR)
    reached: dict[str | None, list[float]] = {}
    more = {}
    for kind in (None, "eca", "se"):
        for seed in range(CIFAR_SEEDS):
            torch.manual_seed(evidence.seed + seed)
            model = ns.zoo.build(
                "resnet20", classes=10, input_shape=task.input_shape, width=CIFAR_WIDTH, attention=kind
            )
            more[kind] = parameters(model)
            fit(
                model, task.train, epochs=CIFAR_EPOCHS, seed=evidence.seed + seed, augment=task.augment,
                progress=False,
            )  # fmt: skip
            reached.setdefault(kind, []).append(100 * task.evaluate(model))
        evidence.row(
            f"ResNet-20 of half the width, {CIFAR['train_size']} CIFAR-10 images, {CIFAR_EPOCHS} epochs, "
            f"{CIFAR_SEEDS} seeds, {kind or 'plain'} (+{more[kind] - more[None]} parameters): accuracy",
            reference="the card's size needs a GPU, which this run had not", got=spread(reached[kind]),
            holds=None,
        )  # fmt: skip
    ahead = statistics.fmean(reached["eca"]) - statistics.fmean(reached[None])
    behind = statistics.fmean(reached["se"]) - statistics.fmean(reached["eca"])
    for claim, wanted, got in (
        ("above plain", ">= -0.1", ahead),
        ("below SE", "<= 0.3", behind),
    ):
        evidence.row(
            f"the same: points ECA is {claim}", reference=f"{wanted}, which is less than seeds differ here",
            got=got, holds=None,
        )  # fmt: skip
    added = more["eca"] - more[None]
    evidence.row("the same: parameters more", reference="< 60", got=added, holds=added < 60)


class Bottleneck(nn.Module):
    """The block of ResNet-50 (He et al. 2016)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(before, width, 1), nn.ReLU(), *_convolution(width, width, 3, stride), nn.ReLU(),
            *_convolution(width, 4 * width, 1),
        )  # fmt: skip
        same = before == 4 * width
        self.shortcut = nn.Identity() if same else nn.Sequential(*_convolution(before, 4 * width, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return F.relu(self.body(x) + self.shortcut(x))


def resnet50() -> nn.Sequential:
    """Return ResNet-50, 25,557,032 parameters."""
    layers, before = [*_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for number in range(blocks):
            layers.append(Bottleneck(before, 64 << stage, 2 if stage and not number else 1))
            before = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000)).eval()


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)]


def parameters(model: nn.Module) -> int:
    """Count parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def spread(values: list[float]) -> str:
    """Return mean and standard deviation."""
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
