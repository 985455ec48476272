"""Whole numbers of a few bits each, side by side without padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bits = NDArray[np.uint8]
"""Zeros and ones, one per element; :func:`numpy.packbits` makes bytes of them."""
Numbers = NDArray[Any]
PATTERNS: dict[int, tuple[torch.dtype, Any]] = {
    8: (torch.int8, np.uint8),
    16: (torch.int16, np.uint16),
    32: (torch.int32, np.uint32),
    64: (torch.int64, np.uint64),
}


def pack(numbers: Numbers, width: int) -> Bits:
    """Return ``width`` bits of each number, the highest first.

    >>> pack(np.array([1, 6]), 3).tolist()
    [0, 0, 1, 1, 1, 0]
    """
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint64)
    return (numbers.astype(np.uint64)[:, None] >> shifts & np.uint64(1)).astype(np.uint8).ravel()


def unpack(bits: Bits, width: int) -> Numbers:
    """Return the numbers that :func:`pack` was given."""
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint64)
    rows = bits.reshape(-1, width) if width else np.zeros((0, 0), dtype=np.uint8)
    numbers: Numbers = (rows.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64).astype(np.int64)
    return numbers


def bits_for(count: int) -> int:
    """Return how many bits tell ``count`` things apart: ``ceil(log2 count)``."""
    return max(count - 1, 0).bit_length()


def patterns(tensor: Tensor) -> Numbers:
    """Return the bit patterns of a tensor's values, in its order; 0 is +0, and -0 is not 0."""
    width = value_bits(tensor)
    as_integers, unsigned = PATTERNS[width]
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(as_integers).numpy().view(unsigned)


def values(numbers: Numbers, dtype: torch.dtype) -> Tensor:
    """Return the tensor ``[n]`` that has these bit patterns."""
    as_integers, unsigned = PATTERNS[torch.empty(0, dtype=dtype).element_size() * 8]
    signed = np.ascontiguousarray(numbers.astype(unsigned)).view(unsigned)
    return torch.from_numpy(signed.view(np.dtype(f"i{signed.itemsize}"))).to(as_integers).view(dtype)


def value_bits(tensor: Tensor) -> int:
    """Return how many bits a value of the tensor takes."""
    return tensor.element_size() * 8
