"""Networks of many shapes, small enough to search in a moment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsmith as ns

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class PreActivation(nn.Module):
    """Two blocks whose batch norms read the sum; convolutions with biases, and no norm behind the second."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
            self.conv1, self.conv2 = (
                nn.Conv2d(width, width, 3, padding=1),
                nn.Conv2d(width, width, 3, padding=1),
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 3, padding=1)
        self.blocks = nn.Sequential(self.Block(10), self.Block(10))
        self.norm, self.head = nn.BatchNorm2d(10), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.blocks(self.stem(x)))).mean((2, 3)))


class Dense(nn.Module):
    """A batch norm over the concat of two groups and of what no group owns."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.Conv2d(6, 10, 3, padding=1)
        self.norm, self.norm_b = nn.BatchNorm2d(19), nn.BatchNorm2d(10)
        self.c, self.head = nn.Conv2d(19, 7, 1, bias=False), nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = F.relu(self.norm_b(self.b(F.relu(a))))
        both = F.relu(self.norm(torch.cat([a, x, b], dim=1)))
        return self.head(F.relu(self.c(both)).amax((2, 3)))


class Depthwise(nn.Module):
    """An inverted bottleneck: a depthwise convolution follows the widths of another; squeeze and excite."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.norm1 = nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12)
        self.depthwise, self.norm2 = nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.BatchNorm2d(12)
        self.squeeze, self.excite = nn.Linear(12, 5), nn.Linear(5, 12)
        self.project, self.head = nn.Conv2d(12, 8, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.norm1(self.expand(x)))
        y = F.silu(self.norm2(self.depthwise(y)))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3))))))
        return self.head(F.relu(self.project(y * gate[:, :, None, None])).mean((2, 3)))


def grouped() -> nn.Module:
    """Return a grouped convolution, whose channels go in every group at once, behind a flatten."""
    front = [nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 12, 3, groups=3), nn.BatchNorm2d(12)]
    return nn.Sequential(*front, nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(48, 4))


def leaking() -> nn.Module:
    """Return a network whose first widths pass a sigmoid, which makes a half of zero."""
    front = [nn.Conv2d(3, 8, 3), nn.Sigmoid(), nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6), nn.ReLU()]
    return nn.Sequential(*front, nn.Flatten(), nn.Linear(96, 4))


def residual() -> nn.Module:
    return ns.zoo.build("resnet20", classes=4, input_shape=(3, 8, 8), width=0.5)


EXACT = {
    "residual": residual,
    "pre-activation": PreActivation,
    "dense": Dense,
    "depthwise": Depthwise,
    "grouped": grouped,
}
DEEP = {"residual", "pre-activation"}


def shaken(model: nn.Module) -> nn.Module:
    """Return the model with weights and statistics that are all different."""
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.2 * torch.rand(tensor.shape, generator=noise))
    return model.eval()
