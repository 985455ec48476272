"""Run lengths: so many zeros, so many values, so many zeros, and so on."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from netsmith.errors import NetsmithError
from netsmith.sparsity.formats.bits import Numbers, pack, patterns, unpack, value_bits
from netsmith.sparsity.formats.stored import Stored, filled

WIDEST = 16


class RunLength:
    """``r b + k v`` bits: r runs of b bits, zeros and values in turn, and k values.

    A run longer than ``2^b - 1`` is cut by an empty run of the other kind.

    Args:
        run_bits: b, from 1 to 16; the one that takes the fewest bits for each tensor if not given.
    """

    def __init__(self, run_bits: int | None = None) -> None:
        if run_bits is not None and not 1 <= run_bits <= WIDEST:
            raise NetsmithError(f"run_bits is {run_bits}; expected from 1 to {WIDEST}, or None for the best")
        self.run_bits = run_bits

    def encode(self, tensor: Tensor) -> Stored:
        """Return the tensor, stored."""
        numbers = patterns(tensor)
        runs, width = _runs(numbers != 0), self._width(tensor)
        longest = (1 << width) - 1
        cuts = np.maximum(runs - 1, 0) // longest
        ends = np.cumsum(2 * cuts + 1) - 1
        fields = np.zeros(ends[-1] + 1 if len(ends) else 0, dtype=np.int64)
        for end, run, cut in zip(ends, runs, cuts, strict=True):
            fields[end - 2 * cut : end : 2] = longest
            fields[end] = run - cut * longest
        bits = {"runs": pack(fields, width), "values": pack(numbers[numbers != 0], value_bits(tensor))}
        return Stored(bits, tensor.shape, tensor.dtype, {"run_bits": width})

    def decode(self, stored: Stored) -> Tensor:
        """Return the same tensor, to the bit."""
        runs = unpack(stored.fields["runs"], stored.settings["run_bits"])
        return filled(stored, np.flatnonzero(np.repeat(np.arange(len(runs)) % 2, runs)))

    def formula(self, tensor: Tensor) -> int:
        """Return ``r b + k v``."""
        numbers = patterns(tensor)
        runs = _field_bits(_runs(numbers != 0), self._width(tensor))
        return runs + int((numbers != 0).sum()) * value_bits(tensor)

    def _width(self, tensor: Tensor) -> int:
        if self.run_bits is not None:
            return self.run_bits
        runs = _runs(patterns(tensor) != 0)
        return min(range(1, WIDEST + 1), key=lambda width: _field_bits(runs, width))


def _runs(there: Numbers) -> Numbers:
    """Return the lengths of the runs, zeros first; zeros after the last value are not stored."""
    edges = np.flatnonzero(np.diff(there.astype(np.int8), prepend=0, append=0))
    return np.diff(edges, prepend=0)


def _field_bits(runs: Numbers, width: int) -> int:
    cuts = np.maximum(runs - 1, 0) // ((1 << width) - 1)
    return int((2 * cuts + 1).sum()) * width
