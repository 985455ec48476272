"""What a sparse tensor takes to store, by format, and the least that any format can take."""

from __future__ import annotations

import math

from torch import Tensor

from netsmith.sparsity.formats.bitmap import Bitmap
from netsmith.sparsity.formats.bits import patterns, value_bits
from netsmith.sparsity.formats.compressed_rows import CompressedRows
from netsmith.sparsity.formats.coordinate import Coordinate
from netsmith.sparsity.formats.delta import Delta
from netsmith.sparsity.formats.run_length import RunLength
from netsmith.sparsity.formats.stored import Format

FORMATS: dict[str, Format] = {
    "bitmap": Bitmap(),
    "coordinate": Coordinate(),
    "compressed rows": CompressedRows(),
    "delta": Delta(),
    "run length": RunLength(),
}


def bound(size: int, count: int, width: int) -> float:
    """Return ``log2 C(n, k) + k v`` bits: no code that serves all masks of k among n is shorter on average.

    >>> round(bound(4, 2, 8), 3)  # one of six masks, and two values
    18.585
    """
    choices = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    return choices / math.log(2) + count * width


def sizes(tensor: Tensor) -> dict[str, float]:
    """Return the bits that a tensor takes in each format, stored dense, and at least (``"bound"``).

    Shapes, types and the formats' settings, a few bytes per tensor, are not counted.

    Args:
        tensor: values of 8, 16, 32 or 64 bits; a value is zero if all its bits are.

    >>> import torch
    >>> sizes(torch.tensor([0.0, 1.5, 0.0, 0.0]))["bitmap"]
    36.0
    """
    count, width = int((patterns(tensor) != 0).sum()), value_bits(tensor)
    found = {name: float(one.formula(tensor)) for name, one in FORMATS.items()}
    dense = float(tensor.numel() * width)
    return {"bound": bound(tensor.numel(), count, width), "dense": dense, **found}
