"""Shapley values of the entries of an input: what a network's output owes to each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netsmith.analysis.sampling import Game
from netsmith.analysis.shapley import ShapleyEstimate, shapley
from netsmith.errors import NetsmithError
from netsmith.modes import evaluating
from netsmith.wrappers import uncompiled


def feature_shapley(
    model: nn.Module,
    x: Tensor,
    background: Tensor,
    *,
    target: int | None = None,
    players: Tensor | None = None,
    output: Literal["logit", "probability"] = "logit",
    **options: Any,
) -> ShapleyEstimate:
    r"""Return how much each entry of one input adds to a network's output, as Shapley values.

    The worth of a set S of entries is the output for x in which all others come from the background, averaged
    over it: :math:`v(S) = E_b f(x_S, b_{\bar S})` (the interventional value function). What the background
    is dominates the result, so the result holds it. See :func:`~netsmith.analysis.shapley` for the estimator.

    Args:
        model: maps ``[batch, *shape]`` to ``[batch, classes]`` or ``[batch]``; runs in evaluation mode and is
            left as found.
        x: one input ``[*shape]``, without the batch.
        background: one baseline ``[*shape]`` or several ``[count, *shape]``; each evaluation of a coalition
            runs ``count`` inputs.
        target: the class to explain; by default all of them.
        players: which player each entry belongs to, whole numbers from 0 of the shape of x, for instance
            patches of an image; by default each entry is its own.
        output: what is explained: the network's output as it is, or its softmax.
        options: of :func:`~netsmith.analysis.shapley`.

    Returns:
        Values and errors of the shape of x (``[n]`` with ``players``), then one per class without a target.

    Raises:
        NetsmithError: a background of another shape, players that are not 0 to n - 1, a target out of range,
            or what :func:`~netsmith.analysis.shapley` refuses.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = nn.init.eye_(model.weight)
        >>> owed, _ = feature_shapley(model, torch.tensor([3.0, 4.0]), torch.zeros(2), target=1)
        >>> [round(float(value), 9) for value in owed]
        [0.0, 4.0]
    """
    if output not in ("logit", "probability"):
        raise NetsmithError(f"output={output!r} is not known; give 'logit' or 'probability'")
    baselines = background if background.dim() > x.dim() else background[None]
    if baselines.shape[1:] != x.shape or not len(baselines):
        raise NetsmithError(
            f"the background has shape {tuple(background.shape)}; expected {tuple(x.shape)} as x, or several "
            "of them"
        )
    owner = torch.arange(x.numel()).reshape(x.shape) if players is None else players.cpu()
    count = _count(owner, x)
    game = _game(model, x.detach(), baselines.detach(), owner, target, output)
    options.setdefault("batch_size", max(1, 1024 // len(baselines)))
    with evaluating(model), torch.no_grad(), uncompiled():
        found = shapley(game, count, **options)
    if players is None:
        shape = (*x.shape, *found.values.shape[1:])
        found = replace(found, values=found.values.reshape(shape), errors=found.errors.reshape(shape))
    return replace(found, baseline=background)


def _count(owner: Tensor, x: Tensor) -> int:
    numbers = torch.unique(owner)
    if owner.shape != x.shape or not torch.equal(numbers, torch.arange(len(numbers))):
        raise NetsmithError(
            f"players has shape {tuple(owner.shape)} and numbers {numbers.tolist()[:5]}...; expected shape "
            f"{tuple(x.shape)} and all numbers from 0 to n - 1"
        )
    return len(numbers)


def _game(
    model: nn.Module, x: Tensor, baselines: Tensor, owner: Tensor, target: int | None, output: str
) -> Game:
    def worth(coalitions: Tensor) -> Tensor:
        there = coalitions[:, owner].to(x.device)[:, None]
        mixed = torch.where(there, x, baselines).flatten(0, 1)
        found = model(mixed)
        if not isinstance(found, Tensor) or found.dim() not in (1, 2) or len(found) != len(mixed):
            shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise NetsmithError(
                f"the model returned {shape} for {len(mixed)} inputs; expected [batch, classes] or [batch]"
            )
        found = found.softmax(-1) if output == "probability" else found
        found = found.double().reshape(len(coalitions), len(baselines), *found.shape[1:]).mean(1)
        if target is None:
            return found
        if found.dim() < 2 or not 0 <= target < found.shape[1]:
            classes = found.shape[1] if found.dim() == 2 else 0
            raise NetsmithError(f"target={target} is no class of a model with {classes} outputs")
        return found[:, target]

    return worth
