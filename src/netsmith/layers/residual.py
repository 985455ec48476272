"""A residual connection around any module."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """``x + body(x)``.

    Args:
        body: from a tensor to one of the same shape; where it gives zero, this is the identity.

    He et al. (2016), arXiv:1512.03385.

    Example:
        >>> import torch
        >>> Residual(torch.nn.Linear(3, 3))(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of ``x``."""
        branch: Tensor = self.body(x)
        return x + branch
