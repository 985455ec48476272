"""A small network and a regression problem that the driver tests share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3))


def batch(seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(32, 6, generator=generator), torch.randn(32, 3, generator=generator)


def loss(model: nn.Module) -> Tensor:
    x, y = batch()
    return nn.functional.mse_loss(model(x), y)


class LeastSquares(nn.Module):
    """``½‖A W - Y‖²`` in W, strongly convex, so that the constrained minimiser is unique."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.design = torch.randn(30, 5, generator=generator, dtype=torch.float64)
        self.target = torch.randn(30, 4, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(torch.zeros(5, 4, dtype=torch.float64))

    def forward(self) -> Tensor:
        return (self.design @ self.weight - self.target).square().sum() / 2
