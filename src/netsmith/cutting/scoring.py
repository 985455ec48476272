"""Scores and weights, checked before anything is cut."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from netsmith.contracts import Keep, Loss, Score
from netsmith.errors import EditError, ScoreWarning
from netsmith.graph import StructureGraph


def score_groups(
    model: nn.Module, loss: Loss | None, graph: StructureGraph, score: Score | Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return checked scores: one finite tensor ``[size]`` per group.

    Raises:
        EditError: a group without a score, a wrong shape, a score that is not finite, or one that needs
            values of a model that has none.

    Warns:
        ScoreWarning: every channel of the network has the same score.
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
    if not isinstance(given, Mapping):
        raise EditError(
            f"the score returned a {type(given).__name__}; expected a dictionary with a tensor for each group"
        )
    checked = {}
    for group in graph.groups:
        value = given.get(group.name)
        if not isinstance(value, Tensor) or tuple(value.shape) != (group.size,):
            raise EditError(
                f"{_found(value)} for group {group.name}; expected a tensor of shape ({group.size},)"
            )
        if not bool(torch.isfinite(value).all()):
            raise EditError(f"the score of group {group.name} holds NaN or infinity")
        checked[group.name] = value.detach().double().cpu()
    everything = torch.cat(list(checked.values())) if checked else torch.empty(0)
    if len(everything) > 1 and bool((everything == everything[0]).all()):
        warnings.warn(
            f"the score is {everything[0]:g} for each of the {len(everything)} channels, so that chance says "
            "which go; give a score that tells them apart",
            ScoreWarning,
            stacklevel=3,
        )
    return checked


def _found(value: object) -> str:
    if value is None:
        return "no score"
    return (
        f"a score of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    )


def warn_if_scored_away(scores: Mapping[str, Tensor], keep: Keep) -> None:
    """Warn of groups that keep a single channel, where the score likes all of theirs equally little."""
    highest = max((float(score.max()) for score in scores.values()), default=0.0)
    away = [
        name
        for name, stay in keep.items()
        if len(stay) > 1 and int(stay.sum()) == 1 and bool((scores[name] == scores[name][0]).all())
    ]
    away = [name for name in away if float(scores[name][0]) < highest]
    if away:
        more = f" and {len(away) - 1} more groups" if len(away) > 1 else ""
        warnings.warn(
            f"all channels of group {away[0]}{more} were scored away (each has {scores[away[0]][0]:g}); one "
            "stays, because the network needs it",
            ScoreWarning,
            stacklevel=3,
        )


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
