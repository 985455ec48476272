"""Synthetic crowds: bright blobs to be counted among noise and stripes, by networks with density maps."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from common import Evidence
from netsmith.targets import StructuredTransfer, counting_error, density_map
from netsmith.train import fit

SIDE, STRIDE, MOST = 48, 8, 40
TRAIN, TEST = 160, 300
SEEDS = 5
STUDENT_T = 2.776
"""Half of a 95 % interval from five values, in standard errors."""
TEACHER, STUDENT = 64, 16
TAPS = {"1": "1", "3": "3", "5": "5"}
TEACHER_EPOCHS, EPOCHS = 90, 45
ARMS: dict[str, dict[str, float]] = {
    "plain": {},
    "soft only": {"soft": 1.0, "pattern": 0.0, "relation": 0.0},
    "soft + pattern": {"soft": 1.0, "pattern": 0.1, "relation": 0.0},
    "soft + relation": {"soft": 1.0, "pattern": 0.0, "relation": 0.1},
    "full": {"soft": 1.0, "pattern": 0.1, "relation": 0.1},
}


def crowd_counting(evidence: Evidence) -> None:
    """Count blobs: does what is transferred help a student of a quarter of the channels?"""
    taught_by = teacher(evidence.seed)
    size = f"{TRAIN} images, {EPOCHS} epochs, {SEEDS} seeds"
    evidence.row(
        f"crowds of 1 to 40, teacher of 64 channels, {TEACHER_EPOCHS} epochs: MAE", reference="-",
        got=error(taught_by), holds=None,
    )  # fmt: skip
    intervals = {}
    for arm in ARMS:
        values = [student_error(arm, taught_by, evidence.seed + 1 + seed) for seed in range(SEEDS)]
        middle, half = statistics.fmean(values), STUDENT_T * statistics.stdev(values) / math.sqrt(SEEDS)
        intervals[arm] = (middle - half, middle + half)
        evidence.row(
            f"student of 16 channels, {arm} ({size}): MAE, 95 % interval", reference="-",
            got=f"{middle:.3f} ± {half:.3f}", holds=None,
        )  # fmt: skip
    below = intervals["full"][1] < intervals["plain"][0]
    evidence.row(
        "full transfer is below plain: the intervals are apart", reference=True, got=below, holds=below,
    )  # fmt: skip
    evidence.row(
        "the same on 256x256 images, 2,000 of them, 200 epochs",
        reference="needs a GPU",
        got="not run",
        holds=None,
    )


def crowds(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return images ``[count, 1, 48, 48]`` of 1 to 40 blobs and their density maps ``[count, 1, 6, 6]``."""
    generator = torch.Generator().manual_seed(seed)
    images, densities = [], []
    for _ in range(count):
        number = int(torch.randint(1, MOST + 1, (), generator=generator))
        points = SIDE * torch.rand(number, 2, generator=generator)
        blobs = 10 * density_map(points, (SIDE, SIDE), sigma=1.5)
        phase, slope = 2 * math.pi * torch.rand(2, generator=generator)
        rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        stripes = 0.3 * torch.sin(0.6 * (rows * slope.sin() + columns * slope.cos()) + phase)
        images.append(blobs + stripes + 0.1 * torch.randn(SIDE, SIDE, generator=generator))
        densities.append(density_map(points, (SIDE, SIDE), sigma=2.0, stride=STRIDE))
    return torch.stack(images)[:, None], torch.stack(densities)[:, None]


def network(width: int) -> nn.Sequential:
    """Return a network of four convolutions to a density map of an eighth of the resolution."""
    return nn.Sequential(
        nn.Conv2d(1, width, 5, 2, 2), nn.ReLU(),
        nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(width, 1, 1),
    )  # fmt: skip


def teacher(seed: int, epochs: int = TEACHER_EPOCHS) -> nn.Sequential:
    """Return a trained teacher."""
    torch.manual_seed(seed)
    model = network(TEACHER)
    _fit(model, _squared, [*model.parameters()], seed, epochs)
    return model


def student_error(arm: str, taught_by: nn.Module, seed: int, epochs: int = EPOCHS) -> float:
    """Return the mean absolute error of the counts of a student, in objects per image."""
    torch.manual_seed(seed)
    model = network(STUDENT)
    loss: Any = _squared
    parameters = [*model.parameters()]
    if ARMS[arm]:
        images = crowds(2, seed)[0]
        loss = StructuredTransfer(taught_by, model, images, taps=TAPS, loss=F.mse_loss, **ARMS[arm])
        parameters += loss.adapters.parameters()
    _fit(model, loss, parameters, seed, epochs)
    return error(model)


def error(model: nn.Module) -> float:
    """Return the mean absolute error on the test images."""
    images, densities = crowds(TEST, 10_000)
    model.eval()
    with torch.no_grad():
        return counting_error(model(images), densities).mae


def _squared(model: nn.Module, batch: Any) -> Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


def _fit(model: nn.Module, loss: Any, parameters: list[nn.Parameter], seed: int, epochs: int) -> None:
    data = TensorDataset(*crowds(TRAIN, 0))
    adam = torch.optim.Adam(parameters, lr=3e-3)
    fit(model, data, loss=loss, optimizer=adam, epochs=epochs, batch_size=16, seed=seed, progress=False)
