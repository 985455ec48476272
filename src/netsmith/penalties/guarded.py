"""Sums, roots and ratios that stay finite, with a zero gradient, where a tensor has gone to zero."""

from __future__ import annotations

import torch
from torch import Tensor


def vanished(squares: Tensor) -> Tensor:
    """Return where a sum of squares is zero or too small for its ratio to mean anything.

    The bar leaves room for the gradient, which grows like the inverse. A NaN has not vanished: it must reach
    the loss, where it can be seen.
    """
    limits = torch.finfo(squares.dtype)
    return squares < limits.tiny / limits.eps


def root(squares: Tensor) -> Tensor:
    """Return ``sqrt(squares)``; 0 with gradient 0 where :func:`vanished`."""
    gone = vanished(squares)
    return squares.masked_fill(gone, 1.0).sqrt().masked_fill(gone, 0.0)


def effective_count(ones: Tensor, squares: Tensor) -> Tensor:
    """Return ``ones^2 / squares``; 0 with gradient 0 where ``squares`` has :func:`vanished`.

    With the sum of magnitudes and the sum of squares of some values, this is how many of them there would be
    if all had one magnitude. Multiplied in an order that cannot overflow before its result does.
    """
    gone = vanished(squares)
    return (ones * (ones / squares.masked_fill(gone, 1.0))).masked_fill(gone, 0.0)


def sums(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sum of magnitudes and the sum of squares of each tensor, two vectors."""
    flat = [tensor.reshape(-1) for tensor in tensors]
    return torch.stack(torch._foreach_norm(tensors, 1)), torch.stack([torch.dot(w, w) for w in flat])
