"""Coordinate list: every value that is not zero brings its place along."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netsmith.sparsity.formats.bits import bits_for, pack, patterns, unpack, value_bits
from netsmith.sparsity.formats.stored import Stored, filled


class Coordinate:
    """``k (ceil(log2 n) + v)`` bits for k non-zeros of v bits among n."""

    def encode(self, tensor: Tensor) -> Stored:
        """Return the tensor, stored."""
        numbers = patterns(tensor)
        places = np.flatnonzero(numbers)
        fields = {
            "places": pack(places, bits_for(tensor.numel())),
            "values": pack(numbers[places], value_bits(tensor)),
        }
        return Stored(fields, tensor.shape, tensor.dtype, {"count": len(places)})

    def decode(self, stored: Stored) -> Tensor:
        """Return the same tensor, to the bit."""
        width = bits_for(stored.shape.numel())
        # A single value has its place in no bit at all.
        places = unpack(stored.fields["places"], width) if width else np.arange(stored.settings["count"])
        return filled(stored, places)

    def formula(self, tensor: Tensor) -> int:
        """Return ``k (ceil(log2 n) + v)``."""
        count = int((patterns(tensor) != 0).sum())
        return count * (bits_for(tensor.numel()) + value_bits(tensor))
