"""Cutting to a budget with compensation: what goes is folded into what stays, wherever that is possible."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from netsmith.contracts import Inputs, Loss, Score
from netsmith.cost.budget import Budget
from netsmith.cutting.compensate import compensate, uncompensable
from netsmith.cutting.shrink import shrink
from netsmith.edits import remove
from netsmith.edits.records import records
from netsmith.graph import trace


def cut_and_compensate(
    model: nn.Module,
    inputs: Inputs,
    budget: Budget | None,
    score: Score,
    loss: Loss,
    *,
    ridge: float = 1e-6,
    **options: Any,
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the model cut to a budget, with what went folded into what stayed wherever that is possible.

    Args:
        model: untouched.
        inputs: example inputs.
        budget: what the smaller model may cost; None where ``options`` has a ratio.
        score: ranks the channels.
        loss: ``model -> scalar`` on a batch of many samples, for the score and the folding.
        ridge: of :func:`~netsmith.cutting.compensate.compensate`.
        options: of :func:`netsmith.shrink`.

    Returns:
        The smaller model; and how many channels went per group, with the groups not compensated and why.

    Raises:
        BudgetError: the budget cannot be reached.
    """
    graph = trace(model, inputs)
    chosen = shrink(model, inputs, budget=budget, score=score(model, loss, graph), **options)
    removed: dict[str, list[int]] = records(chosen)[-1]["groups"]
    keep = {name: torch.ones(graph.group(name).size, dtype=torch.bool) for name in removed}
    for name, channels in removed.items():
        keep[name][channels] = False
    refused = {name: why for name, why in uncompensable(model, graph, loss).items() if name in keep}
    folded = {name: stay for name, stay in keep.items() if name not in refused}
    small, _ = remove(compensate(model, graph, folded, loss, ridge=ridge), graph, keep)
    small.train(model.training)
    counts = {name: len(channels) for name, channels in removed.items()}
    return small, {"removed": counts, "not_compensated": refused}
