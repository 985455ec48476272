"""Bitmap: one bit per value says whether it is there."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netsmith.sparsity.formats.bits import pack, patterns, value_bits
from netsmith.sparsity.formats.stored import Stored, filled


class Bitmap:
    """``n + k v`` bits for k non-zeros of v bits among n."""

    def encode(self, tensor: Tensor) -> Stored:
        """Return the tensor, stored."""
        numbers = patterns(tensor)
        there = numbers != 0
        fields = {"there": there.astype(np.uint8), "values": pack(numbers[there], value_bits(tensor))}
        return Stored(fields, tensor.shape, tensor.dtype)

    def decode(self, stored: Stored) -> Tensor:
        """Return the same tensor, to the bit."""
        return filled(stored, np.flatnonzero(stored.fields["there"]))

    def formula(self, tensor: Tensor) -> int:
        """Return ``n + k v``."""
        return tensor.numel() + int((patterns(tensor) != 0).sum()) * value_bits(tensor)
