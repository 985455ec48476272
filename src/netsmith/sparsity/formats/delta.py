"""Delta coding: how many zeros lie before each value, with zeros put in where a gap is too long to say."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netsmith.errors import NetsmithError
from netsmith.sparsity.formats.bits import Numbers, pack, patterns, unpack, value_bits
from netsmith.sparsity.formats.stored import Stored, filled

WIDEST = 16


class Delta:
    """``k' (b + v)`` bits: k non-zeros, and one zero put in for each gap beyond ``2^b - 1``.

    Zeros after the last value are not stored.

    Args:
        gap_bits: b, from 1 to 16; the one that takes the fewest bits for each tensor if not given.
    """

    def __init__(self, gap_bits: int | None = None) -> None:
        if gap_bits is not None and not 1 <= gap_bits <= WIDEST:
            raise NetsmithError(f"gap_bits is {gap_bits}; expected from 1 to {WIDEST}, or None for the best")
        self.gap_bits = gap_bits

    def encode(self, tensor: Tensor) -> Stored:
        """Return the tensor, stored."""
        numbers = patterns(tensor)
        width = self._width(tensor)
        places = np.flatnonzero(numbers)
        gaps = _gaps(places)
        padding = gaps >> width
        # Each padding zero closes a longest gap and itself takes one place: together 2^b places.
        ends = np.cumsum(padding + 1) - 1
        fields, kept = (np.zeros(ends[-1] + 1 if len(ends) else 0, dtype=np.uint64) for _ in range(2))
        fields[:] = (1 << width) - 1
        fields[ends] = gaps & ((1 << width) - 1)
        kept[ends] = numbers[places]
        bits = {"gaps": pack(fields, width), "values": pack(kept, value_bits(tensor))}
        return Stored(bits, tensor.shape, tensor.dtype, {"gap_bits": width})

    def decode(self, stored: Stored) -> Tensor:
        """Return the same tensor, to the bit."""
        gaps = unpack(stored.fields["gaps"], stored.settings["gap_bits"])
        return filled(stored, np.cumsum(gaps + 1) - 1)

    def formula(self, tensor: Tensor) -> int:
        """Return ``k' (b + v)``."""
        return self._bits(tensor, self._width(tensor))

    def _width(self, tensor: Tensor) -> int:
        if self.gap_bits is not None:
            return self.gap_bits
        return min(range(1, WIDEST + 1), key=lambda width: self._bits(tensor, width))

    def _bits(self, tensor: Tensor, width: int) -> int:
        gaps = _gaps(np.flatnonzero(patterns(tensor)))
        return (len(gaps) + int((gaps >> width).sum())) * (width + value_bits(tensor))


def _gaps(places: Numbers) -> Numbers:
    return np.diff(places, prepend=-1) - 1
