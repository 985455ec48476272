"""What a sparse tensor is stored as, and the interface of the formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch

from netsmith.sparsity.formats.bits import Bits, Numbers, unpack, values


@dataclass(frozen=True)
class Stored:
    """A tensor in a sparse format; sizes, type and settings are a header that is not counted."""

    fields: dict[str, Bits]
    """Bits by what they say: positions first, then the values that are not zero."""
    shape: torch.Size
    dtype: torch.dtype
    settings: dict[str, int] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """How many bits all fields take together."""
        return sum(len(one) for one in self.fields.values())


class Format(Protocol):
    """One way to store a tensor of which many values are zero."""

    def encode(self, tensor: torch.Tensor) -> Stored:
        """Return the tensor, stored."""
        ...

    def decode(self, stored: Stored) -> torch.Tensor:
        """Return the same tensor, to the bit."""
        ...

    def formula(self, tensor: torch.Tensor) -> int:
        """Return how many bits it takes, without storing it."""
        ...


def filled(stored: Stored, positions: Numbers) -> torch.Tensor:
    """Return the tensor with the stored values at these positions of its flat order, zero elsewhere."""
    width = torch.empty(0, dtype=stored.dtype).element_size() * 8
    flat = torch.zeros(stored.shape.numel(), dtype=stored.dtype)
    flat[torch.from_numpy(positions)] = values(unpack(stored.fields["values"], width), stored.dtype)
    return flat.view(stored.shape)
