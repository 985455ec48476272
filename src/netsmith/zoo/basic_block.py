"""The residual block of two 3x3 convolutions, and its two shortcuts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.layers import channel_attention


class PadShortcut(nn.Module):
    """Option A: every ``stride``-th pixel, with zero channels put before and after; no parameters.

    Written as a convolution with a fixed 0/1 filter, held in a buffer, so that channels on either side can be
    cut one by one: a number of channels to pad would be right for one width only.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, at least as many.
        stride: step between the pixels that are kept.

    He et al. (2016), arXiv:1512.03385, section 3.3.
    """

    selection: Tensor

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        front = (out_channels - in_channels) // 2
        selection = torch.zeros(out_channels, in_channels, 1, 1)
        selection[front : front + in_channels, :, 0, 0] = torch.eye(in_channels)
        self.register_buffer("selection", selection)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, out_channels, ceil(height / stride), ceil(width / stride)]``."""
        return F.conv2d(x, self.selection, stride=self.stride)


class BasicBlock(nn.Module):
    """``relu(body(x) + shortcut(x))`` with a body of two 3x3 convolutions, each with batch norm.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        shortcut: where shapes differ, ``"A"`` pads (:class:`PadShortcut`), ``"B"`` projects with a 1x1
            convolution and batch norm; elsewhere the input is added as it is.
        attention: of :func:`netsmith.layers.channel_attention`, after the last batch norm; none by default.

    He et al. (2016), arXiv:1512.03385.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        shortcut: str = "B",
        attention: str | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(out_channels)
        if attention is not None:
            self.norm2 = nn.Sequential(self.norm2, channel_attention(attention, out_channels))
        self.shortcut: nn.Module
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()
        elif shortcut == "A":
            self.shortcut = PadShortcut(in_channels, out_channels, stride)
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[n, out_channels, ceil(height / stride), ceil(width / stride)]``."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))
