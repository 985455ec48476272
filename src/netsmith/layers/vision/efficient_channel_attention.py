"""Efficient channel attention: one short kernel that slides over the channels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.layers.vision.pooling import channel_means, check_channels, gated

RELEASED_KERNELS: dict[str, tuple[int, ...]] = {
    "resnet18": (3, 5, 7, 7),
    "resnet34": (3, 3, 5, 7),
    "resnet50": (3, 5, 5, 7),
    "resnet101": (3, 3, 5, 7),
    "resnet152": (3, 3, 5, 7),
}
"""Kernels per stage of the authors' released networks; they are not all what the rule gives."""


def adaptive_kernel(channels: int, gamma: float = 2.0, offset: float = 1.0) -> int:
    """Return the paper's kernel for a number of channels: ``|(log2(channels) + offset) / gamma|``, odd.

    The whole part is taken, and one added if that is even, as in the authors' code.

    Raises:
        NetsmithError: channels below 1, or a gamma that is not positive.

    Example:
        >>> [adaptive_kernel(channels) for channels in (16, 64, 128, 1024, 2048)]
        [3, 3, 5, 5, 7]
    """
    if not gamma > 0:
        raise NetsmithError(f"gamma={gamma}: expected a number above 0")
    whole = int(abs((math.log2(check_channels(channels)) + offset) / gamma))
    return whole if whole % 2 else whole + 1


@card(
    title="ECA-Net: efficient channel attention",
    paper="arXiv:1910.03151",
    venue="CVPR 2020",
    differs=(
        "means of half-precision maps are taken in single precision; a cut keeps the kernel, without a "
        "warning where the rule would now choose another"
    ),
)
class EfficientChannelAttention(nn.Module):
    r"""``x_i * sigmoid(sum_j a_j m_(i+j))`` with the means ``m`` of the channels of ``x``.

    The kernel ``a`` of odd length is shared by all channels; beyond the first and the last there are zeros.
    Wang et al. (2020), arXiv:1910.03151. It goes after the last normalisation of a residual branch
    (:func:`netsmith.edits.attend` puts it there). At first the gates are near one half.

    When channels are cut, the kernel stays and slides over those that are left, so that others become
    neighbours: fine-tune afterwards. What the rule would choose now is ``adaptive_kernel(channels left)``.

    Args:
        channels: of the maps.
        kernel: odd, at most ``channels``; default :func:`adaptive_kernel`, or less where there are fewer.
        shared: whether all channels share the kernel; if not, each has its own (ECA-NS).

    Shapes:
        ``[batch, channels, height, width]`` to the same.

    Raises:
        NetsmithError: no channels, or a kernel that is even or longer than there are channels; in a call, a
            tensor that has not four dimensions.

    Example:
        >>> layer = EfficientChannelAttention(256)
        >>> sum(parameter.numel() for parameter in layer.parameters())
        5
    """

    def __init__(self, channels: int, *, kernel: int | None = None, shared: bool = True) -> None:
        super().__init__()
        if kernel is None:
            kernel = min(adaptive_kernel(channels), check_channels(channels) - 1 + channels % 2)
        if kernel < 1 or kernel % 2 == 0 or kernel > check_channels(channels):
            raise NetsmithError(
                f"kernel={kernel} for {channels} channels: expected an odd number of at most {channels}"
            )
        self.shared = shared
        self.weight = nn.Parameter(torch.empty((1, 1, kernel) if shared else (kernel, channels)))
        nn.init.uniform_(self.weight, -(kernel**-0.5), kernel**-0.5)

    @property
    def kernel(self) -> int:
        """Length of the kernel."""
        return self.weight.shape[2 if self.shared else 0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps, each channel scaled."""
        means = channel_means(x).unsqueeze(1)
        if self.shared:
            return gated(x, F.conv1d(means, self.weight, padding=self.kernel // 2).squeeze(1))
        windows = F.unfold(means.unsqueeze(2), (1, self.kernel), padding=(0, self.kernel // 2))
        return gated(x, (windows * self.weight).sum(1))

    def extra_repr(self) -> str:
        """Return the kernel and whether it is shared."""
        return f"kernel={self.kernel}, shared={self.shared}"
