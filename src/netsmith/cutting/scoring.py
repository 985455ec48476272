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
        EditError: a group without a score, a wrong shape, a score that is not finite, or one that needs
            values of a model that has none.
    """
    try:
        given = score if isinstance(score, Mapping) else score(model, loss, graph)
    except (NotImplementedError, RuntimeError) as error:
        empty = next((name for name, p in model.named_parameters() if p.is_meta), None)
        if empty is None:
            raise
        raise EditError(
            f"{empty} is on the meta device and has no values to score; load the weights first, or give a "
            "score that needs none (score=netsmith.scores.Random())"
        ) from error
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


def check_values(model: nn.Module) -> None:
    """Refuse a model with NaN or infinity in its weights, or with values for only some of them.

    Raises:
        EditError: names the first parameter that is not finite, or has no values.
    """
    empty = next((name for name, p in model.named_parameters() if p.is_meta), None)
    full = next(((name, p.device) for name, p in model.named_parameters() if not p.is_meta), None)
    if empty is not None and full is not None:
        raise EditError(
            f"{empty} is on the meta device, without values, but {full[0]} is on {full[1]}; load all "
            "weights, or none"
        )
    for name, parameter in model.named_parameters():
        if parameter.is_meta or not parameter.is_floating_point():
            continue
        # A finite sum has finite terms; one that is not may only have overflowed, so look at each.
        if not math.isfinite(parameter.detach().sum().item()) and not bool(torch.isfinite(parameter).all()):
            raise EditError(f"parameter {name} holds NaN or infinity; train or load the model again first")
