"""Squeeze and excitation: channel attention through a bottleneck."""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.layers.vision.pooling import channel_means, check_channels, gated


@card(
    title="Squeeze-and-excitation networks",
    paper="arXiv:1709.01507",
    venue="CVPR 2018",
)
class SqueezeExcitation(nn.Module):
    """``x * sigmoid(B relu(A m))`` with the means ``m`` of the channels of ``x``.

    ``A`` leads to ``channels / reduction`` units, ``B`` back; neither has a bias. Hu et al. (2018),
    arXiv:1709.01507.

    Args:
        channels: of the maps.
        reduction: how many times fewer units there are than channels, at least 1; one unit always stays.

    Shapes:
        ``[batch, channels, height, width]`` to the same.

    Raises:
        NetsmithError: no channels, or a reduction below 1; in a call, a tensor that has not four dimensions.

    Example:
        >>> sum(parameter.numel() for parameter in SqueezeExcitation(256).parameters())
        8192
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        if reduction < 1:
            raise NetsmithError(f"reduction={reduction}: expected a number of at least 1")
        units = max(1, check_channels(channels) // reduction)
        self.squeeze = nn.Linear(channels, units, bias=False)
        self.excite = nn.Linear(units, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each channel scaled."""
        return gated(x, self.excite(self.squeeze(channel_means(x)).relu()))
