"""Compressed sparse rows: columns one after the other, and where each row begins."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from netsmith.sparsity.formats.bits import Numbers, bits_for, pack, patterns, unpack, value_bits
from netsmith.sparsity.formats.stored import Stored, filled


class CompressedRows:
    """``k (ceil(log2 columns) + v) + (rows + 1) ceil(log2(k + 1))`` bits; the first dimension is the rows."""

    def encode(self, tensor: Tensor) -> Stored:
        """Return the tensor, stored."""
        rows, columns = _matrix(tensor.shape)
        numbers = patterns(tensor)
        places = np.flatnonzero(numbers)
        counts = np.bincount(places // columns, minlength=rows) if columns else np.zeros(rows, dtype=int)
        starts: Numbers = np.concatenate([[0], np.cumsum(counts)])
        fields = {
            "columns": pack(places % columns if columns else places, bits_for(columns)),
            "starts": pack(starts, bits_for(len(places) + 1)),
            "values": pack(numbers[places], value_bits(tensor)),
        }
        return Stored(fields, tensor.shape, tensor.dtype, {"count": len(places)})

    def decode(self, stored: Stored) -> Tensor:
        """Return the same tensor, to the bit."""
        rows, columns = _matrix(stored.shape)
        count = stored.settings["count"]
        if not count:
            return torch.zeros(stored.shape, dtype=stored.dtype)
        starts = unpack(stored.fields["starts"], bits_for(count + 1))
        width = bits_for(columns)
        within = unpack(stored.fields["columns"], width) if width else np.zeros(count, dtype=np.int64)
        return filled(stored, np.repeat(np.arange(rows), np.diff(starts)) * columns + within)

    def formula(self, tensor: Tensor) -> int:
        """Return the bits of columns, values and row starts."""
        rows, columns = _matrix(tensor.shape)
        count = int((patterns(tensor) != 0).sum())
        return count * (bits_for(columns) + value_bits(tensor)) + (rows + 1) * bits_for(count + 1)


def _matrix(shape: torch.Size) -> tuple[int, int]:
    rows = shape[0] if len(shape) > 1 else 1
    return rows, shape.numel() // rows if rows else 0
