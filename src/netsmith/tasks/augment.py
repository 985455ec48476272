"""Random crop and flip of a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class CropFlip:
    """Shift each image by up to ``padding`` pixels each way and mirror half of them, left to right.

    The usual augmentation of CIFAR (He et al., 2016, arXiv:1512.03385): pad, crop at random to the old size,
    flip with probability 1/2. Every image draws its own shift; all come from the given generator.

    Args:
        padding: pixels added on each side before the crop.
        fill: value of those pixels, on the scale of the (standardised) images.
        flip: mirror at random; leave it off where left and right have a meaning, as in digits.

    Example:
        >>> batch = torch.rand(8, 3, 32, 32)
        >>> CropFlip(padding=4)(batch, torch.Generator().manual_seed(0)).shape
        torch.Size([8, 3, 32, 32])
    """

    padding: int
    fill: float = 0.0
    flip: bool = True

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed batch ``[n, channels, height, width]``; the given one is untouched."""
        count, _, height, width = images.shape

        def draw(high: int) -> Tensor:
            drawn = torch.randint(high, (count,), generator=generator, device=generator.device)
            return drawn.to(images.device)

        padded = F.pad(images, (self.padding,) * 4, value=self.fill)
        # A view of every window [n, c, top, left, height, width]; only the drawn ones are copied.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        top, left = draw(2 * self.padding + 1), draw(2 * self.padding + 1)
        cropped = windows[torch.arange(count, device=images.device), :, top, left]
        if not self.flip:
            return cropped
        return torch.where(draw(2).bool().view(-1, 1, 1, 1), cropped.flip(-1), cropped)
