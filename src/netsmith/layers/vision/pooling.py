"""What every channel attention begins and ends with."""

from __future__ import annotations

import torch
from torch import Tensor

from netsmith.errors import NetsmithError


def check_channels(channels: int) -> int:
    """Return a number of channels.

    Raises:
        NetsmithError: it is below 1.
    """
    if channels < 1:
        raise NetsmithError(f"channels={channels}: expected a number of channels of at least 1")
    return channels


def channel_means(x: Tensor) -> Tensor:
    """Return the mean of every channel of maps ``[batch, channels, height, width]``, ``[batch, channels]``.

    In half precision the sum over a large map would overflow: it is taken in single precision.

    Raises:
        NetsmithError: ``x`` has not four dimensions.
    """
    if x.dim() != 4:
        raise NetsmithError(
            f"channel attention got a tensor of shape {tuple(x.shape)}; give maps [batch, channels, height, "
            "width]"
        )
    return x.mean((2, 3), dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)


def gated(x: Tensor, weights: Tensor) -> Tensor:
    """Return maps times the sigmoid of one number per channel, ``[batch, channels]``."""
    return x * weights.sigmoid()[:, :, None, None]
