"""Scores and weights, checked before anything is cut."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from netsmith.contracts import Loss, Score
from netsmith.errors import EditError
from netsmith.graph import StructureGraph


def score_groups(
    model: nn.Module, loss: Loss | None, graph: StructureGraph, score: Score | Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return checked scores: one finite tensor ``[size]`` per group.

    Raises:
        EditError: a group without a score, a wrong shape, or a score that is not finite.
    """
    given = score if isinstance(score, Mapping) else score(model, loss, graph)
    checked = {}
    for group in graph.groups:
        value = given.get(group.name)
        if value is None or tuple(value.shape) != (group.size,):
            found = "no score" if value is None else f"a score of shape {tuple(value.shape)}"
            raise EditError(f"{found} for group {group.name}; expected a tensor of shape ({group.size},)")
        if not bool(torch.isfinite(value).all()):
            raise EditError(f"the score of group {group.name} holds NaN or infinity")
        checked[group.name] = value.detach().double().cpu()
    return checked


def check_finite(model: nn.Module) -> None:
    """Refuse a model with NaN or infinity in its weights.

    Raises:
        EditError: names the first parameter that is not finite.
    """
    for name, parameter in model.named_parameters():
        if parameter.is_meta or not parameter.is_floating_point():
            continue
        # A finite sum has finite terms; one that is not may only have overflowed, so look at each.
        if not math.isfinite(parameter.detach().sum().item()) and not bool(torch.isfinite(parameter).all()):
            raise EditError(f"parameter {name} holds NaN or infinity; train or load the model again first")
