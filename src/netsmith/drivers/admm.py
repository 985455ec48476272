"""The projection in the limit: the alternating direction method of multipliers (ADMM)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Clock, Projection
from netsmith.drivers.selection import Constrained, Select, assigned
from netsmith.errors import NetsmithError


@card(
    "ADMM for constrained training",
    paper="Boyd et al. 2011; Zhang et al., arXiv:1804.03294",
    venue="ECCV 2018",
    differs="the strength is constant unless the caller changes it between updates",
)
class ADMM(nn.Module):
    """Train freely, but be pulled towards allowed weights: ``min loss(W) + indicator(Z)`` with ``W = Z``.

    The object is the penalty ``strength/2 · Σ ‖W - Z + U‖²`` that goes into the loss; :meth:`update` does
    ``Z <- P(W + U)``, ``U <- U + W - Z``. The auxiliary Z (always allowed) and the scaled dual U are buffers,
    so ``state_dict`` holds all there is to resume. The weights meet Z in the limit only: when done, call
    :func:`netsmith.drivers.project_`, which then changes little.

    Args:
        model: where the weights are; it is not changed, nor kept.
        projection: one for all, or a mapping from names or patterns to projections.
        select: which parameters, see :data:`netsmith.drivers.Select`.
        strength: loss units per squared distance, > 0; about the curvature of the loss converges fastest.

    Raises:
        NetsmithError: ``strength`` not positive, or nothing selected.
    """

    def __init__(
        self,
        model: nn.Module,
        projection: Projection | Mapping[str, Projection],
        *,
        select: Select = None,
        strength: float = 1e-2,
    ) -> None:
        super().__init__()
        if not 0 < strength < float("inf"):
            raise NetsmithError(f"strength is {strength}, expected a finite number > 0; 1e-2 is a start")
        self.strength = strength
        self.projections: dict[str, Projection] = {}
        for name, parameter, one in assigned(model, projection, select):
            self.projections[name] = one
            self.register_buffer(_key("auxiliary", name), one(parameter.detach()))
            self.register_buffer(_key("dual", name), torch.zeros_like(parameter))

    def forward(self, model: nn.Module) -> Tensor:
        """Return the penalty, a scalar in loss units."""
        terms = [
            (parameter - auxiliary + dual).square().sum()
            for (_, parameter, _), auxiliary, dual in self._rows(model)
        ]
        return self.strength / 2 * torch.stack(terms).sum()

    @torch.no_grad()
    def update(self, model: nn.Module, clock: Clock | None = None) -> None:
        """Move Z and U one iteration on; usable as ``after_epoch`` (or after every few hundred steps)."""
        for (_, parameter, projection), auxiliary, dual in self._rows(model):
            auxiliary.copy_(projection(parameter + dual))
            dual.add_(parameter - auxiliary)

    @torch.no_grad()
    def gap(self, model: nn.Module) -> float:
        """Return ``‖W - Z‖ / ‖W‖`` over all constrained weights: how far from allowed they are."""
        rows = self._rows(model)
        distance = torch.stack([(row.parameter - auxiliary).norm() for row, auxiliary, _ in rows]).norm()
        return float(
            distance / torch.stack([row.parameter.norm() for row, _, _ in rows]).norm().clamp_min(1e-30)
        )

    def _rows(self, model: nn.Module) -> list[tuple[Constrained, Tensor, Tensor]]:
        return [
            (
                Constrained(name, model.get_parameter(name), projection),
                self.get_buffer(_key("auxiliary", name)),
                self.get_buffer(_key("dual", name)),
            )
            for name, projection in self.projections.items()
        ]


def _key(kind: str, name: str) -> str:
    """Name of a buffer; torch allows no dots in it."""
    return f"{kind}/{name.replace('.', '/')}"
