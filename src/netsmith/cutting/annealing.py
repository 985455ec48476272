"""Annealing: a layer loses a tenth of its channels, again and again, as long as the accuracy can be held."""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from netsmith.contracts import Inputs, Loss, Score
from netsmith.cutting.compensate import compensate, uncompensable
from netsmith.edits import remove
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.graph import trace
from netsmith.wrappers import network

ORDERS = ("round-robin", "forward", "reverse", "random")
Retrain = Callable[[nn.Module, Callable[[], bool]], object]
"""``retrain(model, reached)``: train the model in place until ``reached()``, or as long as it is worth it."""


def anneal(
    model: nn.Module,
    inputs: Inputs,
    *,
    score: Score,
    loss: Loss,
    evaluate: Callable[[nn.Module], float],
    tolerance: float,
    retrain: Retrain | None = None,
    rate: float = 0.1,
    order: str = "round-robin",
    generator: torch.Generator | None = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    r"""Return a smaller model whose metric is at most ``tolerance`` below, and what was tried on the way.

    A step removes the share ``rate`` of one group, the lowest scores first, folded into those that stay
    (:func:`~netsmith.cutting.compensate.compensate`). Where the metric then falls by more than the tolerance
    below that of the model as given, ``retrain`` may bring it back; where it does not, the step is taken back
    and the group is left as it is. It ends when every group is left. From M. A. Shah, R. Olivier, B. Raj
    (2020), arXiv:2005.14070; with ``retrain`` learning from the model as given (:func:`netsmith.distill`).

    Args:
        model: trained; untouched.
        inputs: example inputs.
        score: ranks the channels, as :class:`netsmith.scores.LinearDependency` does.
        loss: ``model -> scalar`` on a batch of more samples than there are channels.
        evaluate: ``model -> metric``, larger is better; steps are chosen by it, so the last word belongs to
            other data.
        tolerance: what may be lost, in units of the metric, >= 0.
        retrain: see :data:`Retrain`; without it nothing is trained.
        rate: share of a group's channels, in (0, 1); at least one goes.
        order: ``"round-robin"`` takes one step in each group in turn; ``"forward"`` and ``"reverse"`` go on
            with a group until it is left; ``"random"`` draws the group of each step.
        generator: of the draws.
        on_step: called with each step as soon as it is known.

    Returns:
        The model, and per step ``group``, ``size`` before it, ``removed``, ``predicted`` (the root of the sum
        of the squared scores that go, over ``size``; for LinearDependency the error of what the readers
        compute, relative to what they compute), ``cut`` and ``metric`` (after the cut and at the end of the
        step), ``accepted``. Groups that cannot be folded are not touched.

    Raises:
        NetsmithError: a rate or tolerance out of range, or a metric that is not finite.
        UnknownNameError: no such order.
    """
    _check(rate, tolerance, order)
    model = network(model)
    bar = float(evaluate(model)) - tolerance
    if not math.isfinite(bar):
        raise NetsmithError(f"the metric of the model as given is {bar + tolerance}; expected a number")
    graph = trace(model, inputs)
    refused = uncompensable(model, graph, loss)
    names = [group.name for group in graph.groups if group.size > 1 and group.name not in refused]
    left, steps = deque(reversed(names) if order == "reverse" else names), []
    while left:
        if order == "random":
            left.rotate(-int(torch.randint(len(left), (), generator=generator)))
        smaller, step = _smaller(model, inputs, left[0], rate, score, loss)
        step["cut"] = step["metric"] = float(evaluate(smaller))
        if not step["cut"] >= bar and retrain is not None:
            retrain(smaller, lambda tried=smaller: float(evaluate(tried)) >= bar)  # type: ignore[misc]
            step["metric"] = float(evaluate(smaller))
        step["accepted"] = step["metric"] >= bar
        steps.append(step)
        if on_step is not None:
            on_step(step)
        if step["accepted"]:
            model = smaller
        if not step["accepted"] or step["size"] - step["removed"] == 1:
            left.popleft()
        elif order == "round-robin":
            left.rotate(-1)
    return copy.deepcopy(model) if not any(step["accepted"] for step in steps) else model, steps


def _smaller(
    model: nn.Module, inputs: Inputs, name: str, rate: float, score: Score, loss: Loss
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model without the lowest channels of one group, and what is known of the step so far."""
    graph = trace(model, inputs)
    values = score(model, loss, graph)[name].detach().double().cpu()
    size = len(values)
    removed = min(size - 1, max(1, math.ceil(rate * size - 1e-9)))
    lowest = torch.sort(values, stable=True).indices[:removed]
    keep = torch.ones(size, dtype=torch.bool)
    keep[lowest] = False
    small, _ = remove(compensate(model, graph, {name: keep}, loss), graph, {name: keep})
    small.train(model.training)
    predicted = float((values[lowest].square().sum() / size).sqrt())
    return small, {"group": name, "size": size, "removed": removed, "predicted": predicted}


def _check(rate: float, tolerance: float, order: str) -> None:
    if order not in ORDERS:
        raise UnknownNameError("order", order, ORDERS)
    if not 0 < rate < 1:
        raise NetsmithError(f"rate is {rate}; expected the share of a group's channels, between 0 and 1")
    if not tolerance >= 0:
        raise NetsmithError(f"tolerance is {tolerance}; expected a loss of the metric, 0 or more")
