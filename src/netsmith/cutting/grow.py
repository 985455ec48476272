"""``grow``: split the most important channels as long as a budget allows, and prove that nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs, Loss, Score
from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost, CostTable
from netsmith.cutting.budgeting import cost_tables
from netsmith.cutting.protection import unprotected
from netsmith.cutting.scoring import check_values, score_groups
from netsmith.cutting.verify import check_against, own_output
from netsmith.edits.sharing import Sharing
from netsmith.edits.split import split
from netsmith.errors import BudgetError, EditError
from netsmith.graph import StructureGraph
from netsmith.graph.tracing import trace
from netsmith.scores.magnitude import magnitude
from netsmith.wrappers import network

MOST_COPIES = 64
"""A channel becomes at most this many; a network that is to grow further is another network."""


def grow(
    model: nn.Module,
    inputs: Inputs,
    *,
    budget: Budget,
    score: Score | Mapping[str, Tensor] = magnitude,
    loss: Loss | None = None,
    protect: Iterable[str] = (),
    latency: CostTable | None = None,
    energy: CostTable | None = None,
    verify: bool = True,
    inplace: bool = False,
) -> nn.Module:
    """Return a wider model of the same class that computes the same and has room to learn more.

    The channels with the highest scores are split in two (:func:`netsmith.edits.split`) one by one, over all
    groups together, as long as every limit of the budget holds; when all have been, they are split again in
    the same order. Groups whose channels cannot be split one by one without changing the function (those a
    layer norm goes over, say) stay as they are.

    Args:
        model: any module that runs on ``inputs``; untouched unless ``inplace``.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.
        budget: what the wider model may cost, counted for ``inputs``. A plain number above 1 that the model
            exceeds already is a multiple of its present cost: ``Budget(macs=1.5)`` is half as much again.
        score: a score, or its result: one tensor ``[size]`` per group.
        loss: ``model -> scalar`` for scores that need data.
        protect: names of parameters, modules or groups (shell patterns) that stay as they are.
        latency: table for a latency budget; default measured on this machine.
        energy: table for an energy budget; default the table that comes with netsmith.
        verify: run the result once against the original before handing it back.
        inplace: grow ``model`` itself.

    Returns:
        The wider model; :func:`netsmith.records` tells what was split.

    Raises:
        BudgetError: a limit that the model does not keep now, or that no split fits into.
        EditError: nothing can be split, scores do not fit, or the verification failed.
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        >>> ns.grow(net, torch.zeros(1, 8), budget=ns.Budget(macs=1.5))[0]
        Linear(in_features=8, out_features=24, bias=True)
    """
    model = network(model)
    graph = trace(model, inputs)
    check_values(model)
    scores = score_groups(model, loss, graph, score)
    free = [name for name in unprotected(graph, protect) if _splits_one_by_one(graph, name)]
    if not free:
        raise EditError(
            "nothing to grow: no group is both unprotected and splits without changing the output"
        )
    copies = _largest(graph, budget, _chooser(graph, scores, free), cost_tables(budget, latency, energy))
    wanted = {name: dict(enumerate(counts.tolist())) for name, counts in copies.items()}
    reference = own_output(model, inputs) if verify else None
    wider, _ = split(model, graph, wanted)
    if verify:
        check_against(wider, inputs, reference, graph, what="wider", against="original")
    return split(model, graph, wanted, inplace=True)[0] if inplace else wider


def _splits_one_by_one(graph: StructureGraph, name: str) -> bool:
    counts = graph.survivors(None).astype(np.int64)
    counts[graph.group(name).channels[0]] = 2
    try:
        Sharing(graph, counts, alike=True).find()
    except EditError:
        return False
    return True


def _chooser(
    graph: StructureGraph, scores: Mapping[str, Tensor], free: list[str]
) -> Callable[[int], dict[str, Tensor]]:
    """Return a function from a number of splits to the copies of each channel, best channels first."""
    sizes = [graph.group(name).size for name in free]
    order = torch.argsort(torch.cat([scores[name] for name in free]), descending=True, stable=True)

    def choose(splits: int) -> dict[str, Tensor]:
        rounds, rest = divmod(splits, len(order))
        copies = torch.full((len(order),), 1 + rounds)
        copies[order[:rest]] += 1
        return dict(zip(free, torch.split(copies, sizes), strict=True))

    return choose


def _largest(
    graph: StructureGraph,
    budget: Budget,
    choose: Callable[[int], dict[str, Tensor]],
    tables: Mapping[str, CostTable],
) -> dict[str, Tensor]:
    """Return the copies of the most splits at which every limit holds, found by doubling and bisection."""
    measure = Cost(graph, **tables).meter(set(budget.kinds))
    now = measure({})
    limits = _limits(budget, now)

    def holds(splits: int) -> bool:
        cost = measure(choose(splits))
        return all(cost[kind] <= limit * (1 + 1e-12) for kind, limit in limits.items())

    if not holds(1):
        raise BudgetError(
            "no split fits into the budget: "
            + ", ".join(f"{kind} is {now[kind]:.4g} of {limit:.4g}" for kind, limit in limits.items())
        )
    most = (MOST_COPIES - 1) * sum(len(counts) for counts in choose(0).values())
    low, high = 1, 2
    while high < most and holds(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return choose(low)


def _limits(budget: Budget, now: Mapping[str, float]) -> dict[str, float]:
    """Return the limits as absolute numbers, where a plain number above 1 that is exceeded is a multiple."""
    limits = budget.limits(now)
    for kind, amount in budget.to_json().items():
        if not isinstance(amount, str) and 1 < amount < now[kind]:
            limits[kind] = amount * now[kind]
        if limits[kind] < now[kind]:
            raise BudgetError(
                f"budget {kind}={amount} is below the present {now[kind]:.4g}; to grow give more, "
                f"for example {kind}=1.5 (times the present cost)"
            )
    return limits
