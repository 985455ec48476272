"""Channel attention by one matrix: none, diagonal, block diagonal or full."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.layers.vision.pooling import channel_means, check_channels, gated

Mixing = Literal["none", "diagonal", "blocks", "full"]
MIXINGS = ("none", "diagonal", "blocks", "full")


class ChannelGate(nn.Module):
    """``x * sigmoid(W m)`` with the means ``m`` of the channels of ``x``: attention without a bottleneck.

    What Wang et al. (2020, arXiv:1910.03151, section 3.2) compare theirs with.

    Args:
        channels: of the maps.
        mixing: what W is: the identity (``"none"``, SE-Var1), ``"diagonal"`` (SE-Var2), ``"blocks"`` on the
            diagonal (group convolution, SE-GC) or ``"full"`` (SE-Var3).
        groups: how many blocks; divides the channels.

    Shapes:
        ``[batch, channels, height, width]`` to the same.

    Raises:
        UnknownNameError: no such mixing.
        NetsmithError: no channels, or groups that do not divide them; in a call, a tensor that has not four
            dimensions.

    Example:
        >>> [sum(p.numel() for p in ChannelGate(32, mixing=m).parameters()) for m in ("diagonal", "full")]
        [32, 1024]
    """

    def __init__(self, channels: int, *, mixing: Mixing = "full", groups: int = 16) -> None:
        super().__init__()
        if mixing not in MIXINGS:
            raise UnknownNameError("mixing", mixing, MIXINGS)
        if mixing == "blocks" and (groups < 1 or check_channels(channels) % groups):
            raise NetsmithError(f"groups={groups} does not divide {channels} channels")
        self.mixing = mixing
        self.mix: nn.Module | None = None
        if mixing == "full":
            self.mix = nn.Linear(check_channels(channels), channels, bias=False)
        elif mixing == "blocks":
            self.mix = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.scale = nn.Parameter(torch.ones(check_channels(channels))) if mixing == "diagonal" else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each channel scaled."""
        means = channel_means(x)
        if self.scale is not None:
            means = means * self.scale
        elif self.mixing == "full" and self.mix is not None:
            means = self.mix(means)
        elif self.mix is not None:
            means = self.mix(means[:, :, None, None]).flatten(1)
        return gated(x, means)

    def extra_repr(self) -> str:
        """Return the mixing."""
        return f"mixing={self.mixing!r}"
