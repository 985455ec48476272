"""Several widths of one group at once: feature maps of each, interpolated to the widest and mixed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netsmith.searches.interpolation import interpolation_matrix, mapped


class WidthChoice:
    """The widths of one group, and those that are drawn now: shared by everything that makes the group.

    Args:
        widths: numbers of channels, ascending.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = tuple(widths)
        self.drawn: tuple[int, ...] = (len(self.widths) - 1,)
        self._weights: Tensor | None = None
        self._matrices: dict[int, Tensor] = {}

    def set(self, drawn: Sequence[int], weights: Tensor | None = None) -> None:
        """Take some of the widths, by their places, mixed with weights; one alone needs none."""
        self.drawn, self._weights, self._matrices = tuple(drawn), weights, {}

    def release(self) -> None:
        """Let go of the graph that the weights were computed in."""
        if self._weights is not None:
            self._weights, self._matrices = self._weights.detach(), {}

    @property
    def widest(self) -> int:
        """The largest number of channels that is drawn."""
        return max(self.widths[place] for place in self.drawn)

    def mix(self, parts: Sequence[Tensor], repeats: int, dim: int) -> Tensor:
        """Return the weighted sum of feature maps of the drawn widths, interpolated to the widest.

        Each has ``width * repeats`` entries along ``dim``, those of a channel beside each other.
        """
        if self._weights is None:
            return parts[0]
        if repeats not in self._matrices:
            self._matrices[repeats] = self._matrix(self._weights, repeats)
        matrix = self._matrices[repeats].to(parts[0].dtype)
        return mapped(torch.cat([*parts], dim), matrix, dim)

    def _matrix(self, weights: Tensor, repeats: int) -> Tensor:
        """Return ``[widest, sum of widths]``: the interpolations side by side, each times its weight."""
        columns = []
        for place, weight in zip(self.drawn, weights, strict=True):
            one = interpolation_matrix(self.widths[place], self.widest)
            columns.append(weight * torch.kron(one, torch.eye(repeats)).to(weight.device))
        return torch.cat(columns, dim=1)


@dataclass(frozen=True)
class Piece:
    """Entries of a feature map that one group owns: ``index [channels, repeats]``, first to stay first."""

    choice: WidthChoice
    index: Tensor

    def entries(self, width: int) -> Tensor:
        """Return the entries of the first channels."""
        return self.index[:width].flatten()


class Mixer:
    """Cuts a feature map to the drawn widths, mixes them, and puts zeros where channels are missing.

    Args:
        pieces: what groups own of the feature map.
        dim: the dimension of its channels.
        size: of this dimension.
    """

    def __init__(self, pieces: Sequence[Piece], dim: int, size: int) -> None:
        self.pieces, self.dim = tuple(pieces), dim
        owned = torch.cat([piece.index.flatten() for piece in pieces])
        rest = torch.ones(size, dtype=torch.bool)
        rest[owned] = False
        self.rest = rest.nonzero()[:, 0]
        self._in_order = len(pieces) == 1 and torch.equal(owned, torch.arange(size))

    def __call__(self, x: Tensor, norms: Norms | None = None) -> Tensor:
        """Return the mixed feature map, in the shape of ``x``."""
        made = [self._mixed(x, number, norms) for number in range(len(self.pieces))]
        if self._in_order:
            missing = x.shape[self.dim] - made[0].shape[self.dim]
            behind = x.dim() - 1 - self.dim % x.dim()
            return F.pad(made[0], [0, 0] * behind + [0, missing]) if missing else made[0]
        output = torch.zeros_like(x)
        if len(self.rest):
            left = self._taken(x, self.rest)
            output = self._put(output, self.rest, left if norms is None else norms.rest(left))
        for piece, one in zip(self.pieces, made, strict=True):
            output = self._put(output, piece.entries(piece.choice.widest), one)
        return output

    def _mixed(self, x: Tensor, number: int, norms: Norms | None) -> Tensor:
        piece = self.pieces[number]
        parts = []
        for place in piece.choice.drawn:
            width = piece.choice.widths[place]
            if self._in_order:
                part = x.narrow(self.dim, 0, width * piece.index.shape[1])
            else:
                part = self._taken(x, piece.entries(width))
            parts.append(part if norms is None else norms.of(number, place)(part))
        return piece.choice.mix(parts, piece.index.shape[1], self.dim)

    def _taken(self, x: Tensor, index: Tensor) -> Tensor:
        return x.index_select(self.dim, index.to(x.device))

    def _put(self, output: Tensor, index: Tensor, values: Tensor) -> Tensor:
        return output.index_copy(self.dim, index.to(output.device), values.to(output.dtype))


class Norms(nn.Module):
    """A batch norm in the place of one, with statistics and weights of its own for every width.

    Args:
        norm: the batch norm of the full width; what it holds is where those of each width start.
        mixer: cuts and mixes its input.
    """

    def __init__(self, norm: _BatchNorm, mixer: Mixer) -> None:
        super().__init__()
        self.mixer = mixer
        self.rest: nn.Module = _cut(norm, mixer.rest) if len(mixer.rest) else nn.Identity()
        self._of = nn.ModuleList(
            nn.ModuleList(_cut(norm, piece.entries(width)) for width in piece.choice.widths)
            for piece in mixer.pieces
        )

    def of(self, piece: int, place: int) -> nn.Module:
        """Return the batch norm of one width of one piece."""
        widths = self._of[piece]
        assert isinstance(widths, nn.ModuleList)
        return widths[place]

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed feature map, in the shape of ``x``."""
        return self.mixer(x, self)


def _cut(norm: _BatchNorm, index: Tensor) -> _BatchNorm:
    cut = copy.deepcopy(norm)
    cut.num_features = len(index)
    for tensor in (*cut.parameters(), *cut.buffers()):
        if tensor.dim():
            tensor.data = tensor.detach()[index.to(tensor.device)].clone()
    return cut


def mixing_hook(mixer: Mixer) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """Return a forward hook that mixes what a module puts out."""
    return _MixOutput(mixer)


@dataclass(frozen=True)
class _MixOutput:
    mixer: Mixer

    def __call__(self, module: nn.Module, given: Any, output: Tensor) -> Tensor:
        return self.mixer(output)
