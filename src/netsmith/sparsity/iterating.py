"""Masks in many small cuts, each scored anew on what is left."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from netsmith.errors import NetsmithError
from netsmith.scores.elements import Elements
from netsmith.sparsity.ranking import global_masks


def iterated_masks(
    model: nn.Module, score: Callable[[nn.Module], Elements], density: float, *, rounds: int = 100
) -> dict[str, Tensor]:
    """Return masks of a density reached in rounds: ``density^(r / rounds)`` after round r.

    The schedule of SynFlow (H. Tanaka et al., 2020, arXiv:2006.05467); every other score profits, too, from
    being asked again once its neighbours are gone.

    Args:
        model: left as found; a copy is cut.
        score: ``model -> one tensor per weight``, see :mod:`netsmith.scores`.
        density: survivors over scored weights, in (0, 1].
        rounds: cuts, >= 1.

    Raises:
        NetsmithError: a density outside (0, 1], no round, or a score that is NaN.
    """
    if rounds < 1:
        raise NetsmithError(f"rounds is {rounds}; expected at least 1")
    model = copy.deepcopy(model)
    masks: dict[str, Tensor] = {}
    for number in range(1, rounds + 1):
        scores = score(model)
        for name, mask in masks.items():
            scores[name] = scores[name].masked_fill(~mask, -torch.inf)
        masks = global_masks(scores, density ** (number / rounds))
        with torch.no_grad():
            for name, mask in masks.items():
                model.get_parameter(name).masked_fill_(~mask, 0.0)
    return masks
