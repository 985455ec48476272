"""``shrink``: remove the least important channels until a budget holds, and prove that the cut is exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs, Keep, Loss, Score
from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost, CostTable
from netsmith.cutting.selection import Scope, chooser
from netsmith.cutting.verify import check_against, masked_output
from netsmith.edits import remove
from netsmith.errors import BudgetError, EditError
from netsmith.graph import StructureGraph
from netsmith.graph.tracing import graph_of, run
from netsmith.scores.magnitude import magnitude

RoundTo = int | Literal["auto"] | Mapping[str, int]


def shrink(
    model: nn.Module,
    inputs: Inputs,
    *,
    budget: Budget | None = None,
    ratio: float | None = None,
    score: Score | Mapping[str, Tensor] = magnitude,
    loss: Loss | None = None,
    round_to: RoundTo = 1,
    protect: Iterable[str] = (),
    scope: Scope = "global",
    latency: CostTable | None = None,
    energy: CostTable | None = None,
    verify: bool = True,
    inplace: bool = False,
) -> nn.Module:
    """Return a smaller model of the same class that keeps the channels with the highest scores.

    The lowest-scoring channels are removed one by one until every limit of the budget holds; it is missed by
    at most one channel step. At least one channel (or ``round_to`` of them) of every group stays.

    Args:
        model: any module that runs on ``inputs``; untouched unless ``inplace``.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.
        budget: what the smaller model may cost, counted for ``inputs``.
        ratio: instead of a budget, the share of channels to remove, in [0, 1).
        score: a score, or its result: one tensor ``[size]`` per group.
        loss: ``model -> scalar`` for scores that need data.
        round_to: keep a multiple of this many channels in every group; a mapping says it per group name,
            ``"auto"`` takes the multiples that the measured latency table likes on this machine.
        protect: names of parameters, modules or groups (shell patterns) that stay whole.
        scope: ``"global"`` ranks the channels of all groups together; ``"local"`` removes the same share of
            every group.
        latency: table for a latency budget; default measured on this machine.
        energy: table for an energy budget; default the table that comes with netsmith.
        verify: run the result once against the masked original before handing it back.
        inplace: shrink ``model`` itself.

    Returns:
        The smaller model; :func:`netsmith.records` tells what was removed.

    Raises:
        BudgetError: neither or both of ``budget`` and ``ratio``, or a budget that cannot be reached.
        EditError: nothing can be removed, scores do not fit, or the verification failed.
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
        >>> ns.shrink(net, torch.zeros(1, 8), budget=ns.Budget(macs=0.25))[0]
        Linear(in_features=8, out_features=16, bias=True)
    """
    if (budget is None) == (ratio is None):
        raise BudgetError("shrink needs either budget=Budget(...) or ratio=(share of channels to remove)")
    if ratio is not None and not 0 <= ratio < 1:
        raise BudgetError(f"ratio={ratio} must be a share of channels to remove, at least 0 and below 1")
    if scope not in ("global", "local"):
        raise EditError(f"scope={scope!r} is not known; give 'global' or 'local'")
    check_finite(model)
    graph = graph_of(run(model, inputs), model)
    scores = score_groups(model, loss, graph, score)
    free = _unprotected(graph, protect)
    if not free:
        raise EditError(f"nothing to remove: {_why_nothing(graph, protect)}")
    multiples = _multiples(graph, round_to, latency)
    choose = chooser(scores, free, multiples, scope)
    steps = sum(graph.group(name).size for name in free)
    if ratio is not None:
        keep = choose(round(ratio * steps))
    else:
        assert budget is not None
        keep = keep_for(graph, budget, choose, steps, latency, energy)
    reference = masked_output(model, inputs, graph, keep) if verify else None
    smaller, _ = remove(model, graph, keep, inplace=False)
    if verify:
        check_against(smaller, inputs, reference)
    return remove(model, graph, keep, inplace=True)[0] if inplace else smaller


def keep_for(
    graph: StructureGraph,
    budget: Budget,
    choose: Callable[[int], Keep],
    steps: int,
    latency: CostTable | None = None,
    energy: CostTable | None = None,
) -> Keep:
    """Return ``choose(n)`` for the smallest n in [0, steps] at which the budget holds, found by bisection.

    Raises:
        BudgetError: the budget does not hold even for ``choose(steps)``; says what can be reached.
    """
    tables = cost_tables(budget, latency, energy)
    measure = Cost(graph, **tables).meter(set(budget.kinds))
    now = measure({})
    limits = budget.limits(now)
    smallest = measure(choose(steps))
    for kind, limit in limits.items():
        if smallest[kind] > limit:
            raise BudgetError(
                f"budget {kind}={getattr(budget, kind)} cannot be reached: it is {limit:.4g} of the present "
                f"{now[kind]:.4g}, and the smallest cut has {smallest[kind]:.4g} "
                f"(a share of {smallest[kind] / now[kind]:.3g})"
            )
    low, high = 0, steps
    while low < high:
        middle = (low + high) // 2
        if budget.holds(measure(choose(middle)), now):
            high = middle
        else:
            low = middle + 1
    return choose(low)


def cost_tables(
    budget: Budget, latency: CostTable | None = None, energy: CostTable | None = None
) -> dict[str, CostTable]:
    """Return the tables a budget needs; those not given are the measured and the built-in one."""
    tables: dict[str, CostTable] = {}
    if budget.latency is not None:
        from netsmith.cost.latency import LatencyTable

        tables["latency"] = latency if latency is not None else LatencyTable()
    if budget.energy is not None:
        from netsmith.cost.energy import EnergyTable

        tables["energy"] = energy if energy is not None else EnergyTable()
    return tables


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


def _unprotected(graph: StructureGraph, protect: Iterable[str]) -> list[str]:
    patterns = [protect] if isinstance(protect, str) else list(protect)

    def hit(group_name: str, tensors: list[str]) -> bool:
        names = [group_name, *tensors]
        for tensor in tensors:
            parts = tensor.split(".")
            names += [".".join(parts[:end]) for end in range(1, len(parts))]
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return [g.name for g in graph.groups if not hit(g.name, [s.tensor for s in g.slices])]


def _why_nothing(graph: StructureGraph, protect: Iterable[str]) -> str:
    if graph.groups:
        return f"protect={list(protect)} covers all {len(graph.groups)} groups"
    reasons = sorted(set(graph.frozen.values()))
    return (
        "every dimension is fixed (" + "; ".join(reasons[:3]) + ")" if reasons else "the model has no weights"
    )


def _multiples(graph: StructureGraph, round_to: RoundTo, latency: CostTable | None) -> dict[str, int]:
    if isinstance(round_to, Mapping):
        return {group.name: int(round_to.get(group.name, 1)) for group in graph.groups}
    if round_to == "auto":
        from netsmith.cost.latency import LatencyTable
        from netsmith.cost.widths import preferred_multiples

        return preferred_multiples(graph, latency if isinstance(latency, LatencyTable) else LatencyTable())
    if not isinstance(round_to, int) or isinstance(round_to, bool) or round_to < 1:
        raise BudgetError(f"round_to={round_to!r} must be a whole number of channels, a mapping, or 'auto'")
    return {group.name: round_to for group in graph.groups}
