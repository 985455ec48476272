"""From scores of single weights to masks with exactly as many survivors as asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netsmith.errors import NetsmithError


def global_masks(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Return masks of the highest scores of all weights ranked together.

    Args:
        scores: one tensor per weight, of its shape; the scored weights are what the density counts.
        density: survivors over scored weights, in (0, 1].

    Returns:
        Bool tensors of the scores' shapes with ``round(density * weights)`` survivors in all, for
        :class:`netsmith.masks.hold`. Of equal scores the first survive. A layer may lose all.

    Raises:
        NetsmithError: a density outside (0, 1], or a score that is NaN.

    >>> masks = global_masks({"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0, 3.0])}, 0.5)
    >>> masks["a"].tolist(), masks["b"].tolist()
    ([False, True], [False, True])
    """
    if not 0 < density <= 1:
        raise NetsmithError(f"density is {density}; expected the share of survivors, above 0 up to 1")
    flat = torch.cat([score.detach().flatten().double().cpu() for score in scores.values()])
    kept = _highest(flat, round(density * len(flat)), "the scores")
    parts = torch.split(kept, [score.numel() for score in scores.values()])
    return {
        name: part.view(score.shape).to(score.device)
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def layer_masks(scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> dict[str, Tensor]:
    """Return masks of the highest scores of each layer, as many as ``counts`` says.

    Args:
        scores: one tensor per weight, of its shape.
        counts: survivors by name, from :mod:`netsmith.sparsity.densities`.

    Raises:
        NetsmithError: a layer without a count or with one it cannot have, or a score that is NaN.
    """
    masks = {}
    for name, score in scores.items():
        count = counts.get(name, -1)
        if not 0 <= count <= score.numel():
            raise NetsmithError(
                f"{name} has {score.numel()} weights and is to keep {counts.get(name)}; expected that many "
                "at most"
            )
        flat = score.detach().flatten().double().cpu()
        masks[name] = _highest(flat, count, name).view(score.shape).to(score.device)
    return masks


def _highest(flat: Tensor, count: int, what: str) -> Tensor:
    if bool(flat.isnan().any()):
        raise NetsmithError(f"{what} hold NaN; expected numbers that can be ranked")
    kept = torch.zeros(len(flat), dtype=torch.bool)
    kept[torch.sort(flat, descending=True, stable=True).indices[:count]] = True
    return kept
