"""``shrink``: remove the least important channels until a budget holds, and prove that the cut is exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Literal

from torch import Tensor, nn

from netsmith.contracts import Inputs, Loss, Score
from netsmith.cost.budget import Budget
from netsmith.cost.counting import CostTable
from netsmith.cutting.budgeting import cut_for, liked_multiples, measured_table, warn_if_not_faster
from netsmith.cutting.depth import Cut, block_scores, in_depth, left_to_cut
from netsmith.cutting.protection import unprotected
from netsmith.cutting.scoring import check_values, score_groups, warn_if_scored_away
from netsmith.cutting.selection import Scope, chooser
from netsmith.cutting.verify import check_against, masked_output
from netsmith.edits import bypass, remove
from netsmith.edits.trial import bypassed, removed
from netsmith.errors import BudgetError, EditError
from netsmith.graph import StructureGraph, blocks
from netsmith.graph.choices import least
from netsmith.graph.own_rules import OwnRule, Target
from netsmith.graph.sizes import WRITTEN
from netsmith.graph.tracing import trace
from netsmith.scores.magnitude import magnitude
from netsmith.wrappers import network

Form = Literal["python", "program"]
RoundTo = int | Literal["auto"] | Mapping[str, int]


def shrink(
    model: nn.Module,
    inputs: Inputs,
    *,
    budget: Budget | str | None = None,
    ratio: float | None = None,
    score: Score | Mapping[str, Tensor] = magnitude,
    loss: Loss | None = None,
    round_to: RoundTo = 1,
    protect: Iterable[str] = (),
    scope: Scope = "global",
    depth: bool = False,
    latency: CostTable | None = None,
    energy: CostTable | None = None,
    rules: Mapping[Target, OwnRule] | None = None,
    form: Form = "python",
    verify: bool = True,
    inplace: bool = False,
) -> nn.Module:
    """Return a smaller model of the same class that keeps the channels with the highest scores.

    The lowest-scoring channels are removed one by one until every limit of the budget holds; it is missed by
    at most one channel step. At least one channel (or ``round_to`` of them) of every group stays.

    Args:
        model: any module that runs on ``inputs``; untouched unless ``inplace``. What ``torch.compile``,
            ``DataParallel`` or ``DistributedDataParallel`` wraps is looked through, and handed back plain.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.
        budget: what the smaller model may cost, counted for ``inputs``; text is read, ``"macs=0.5"``.
        ratio: instead of a budget, the share of channels to remove, in [0, 1).
        score: a score, or its result: one tensor ``[size]`` per group.
        loss: ``model -> scalar`` for scores that need data.
        round_to: keep a multiple of this many channels in every group; a mapping says it per group name,
            ``"auto"`` takes the multiples that the measured latency table likes on this machine, and warns
            when MACs fall but time does not. With a latency budget 1 means ``"auto"``: time is a staircase
            of widths, and a narrower layer off a kernel's blocks can be slower than a wider one.
        protect: names of parameters, modules or groups (shell patterns) that stay whole.
        scope: ``"global"`` ranks the channels of all groups together; ``"local"`` removes the same share of
            every group.
        depth: let whole residual blocks go, too (:func:`netsmith.graph.blocks`): each is one more step of the
            ranking, with the mean score of the channels inside; one without channels of its own stays. With
            ``scope="local"`` the same share of blocks goes as of channels. A score that is relative to its
            layer, as magnitude is, says little of blocks; give one that compares layers.
        latency: table for a latency budget; default measured on this machine.
        energy: table for an energy budget; default the table that comes with netsmith.
        rules: rules of your own for this call alone (:func:`netsmith.graph.rule` registers one for all).
        form: ``"python"`` hands back a model of the same class; ``"program"`` what the model computes as a
            ``torch.fx.GraphModule`` (:func:`netsmith.as_program`), in which sizes follow the cut that the
            model's code writes down.
        verify: run the result once against the masked original before handing it back.
        inplace: shrink ``model`` itself.

    Returns:
        The smaller model; :func:`netsmith.records` tells what was removed.

    Warns:
        ScoreWarning: all channels have the same score, or a whole group was scored away and one stays.

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
    budget = Budget.parse(budget) if isinstance(budget, str) else budget
    if ratio is not None and not 0 <= ratio < 1:
        raise BudgetError(f"ratio={ratio} must be a share of channels to remove, at least 0 and below 1")
    if scope not in ("global", "local"):
        raise EditError(f"scope={scope!r} is not known; give 'global' or 'local'")
    if form not in ("python", "program"):
        raise EditError(f"form={form!r} is not known; give 'python' or 'program'")
    model = network(model) if form == "python" else _program(model, inputs, inplace)
    graph = trace(model, inputs, rules=rules)
    check_values(model)
    scores = score_groups(model, loss, graph, score)
    free = unprotected(graph, protect)
    if not free:
        raise EditError(f"nothing to remove: {_why_nothing(graph, protect)}")
    timed = budget is not None and budget.latency is not None
    if timed and round_to == 1:
        round_to = "auto"
    if latency is None and (timed or round_to == "auto"):
        latency = measured_table(graph, model, inputs, whole=timed)
    multiples = _multiples(graph, round_to, latency)
    ranked = block_scores(graph, scores, free, blocks(model, inputs)) if depth else []
    while True:
        choose, steps = in_depth(
            chooser(scores, free, multiples, scope, least(graph)), scores, free, ranked, scope
        )
        try:
            if budget is not None:
                cut = cut_for(graph, budget, choose, steps, latency, energy)
            else:
                cut = choose(round((ratio or 0.0) * steps))
            break
        except BudgetError:
            if round_to != "auto" or max(multiples.values()) == 1:
                raise
            # The widths a machine likes best do not reach every budget; finer ones go further.
            multiples = {name: max(1, multiple // 2) for name, multiple in multiples.items()}
    warn_if_scored_away(scores, cut.keep)
    if round_to == "auto" and latency is not None:
        warn_if_not_faster(graph, cut.keep, latency)
    return _carried_out(model, inputs, graph, cut, rules, verify, inplace)


def _carried_out(
    model: nn.Module,
    inputs: Inputs,
    graph: StructureGraph,
    cut: Cut,
    rules: Mapping[Target, OwnRule] | None,
    verify: bool,
    inplace: bool,
) -> nn.Module:
    with ExitStack() as stack:
        keep = cut.keep
        if cut.blocks:
            if inplace:
                stack.enter_context(bypassed(model, cut.blocks))
            else:
                model, _ = bypass(model, cut.blocks)
            graph, keep = left_to_cut(model, inputs, graph, cut, rules)
        reference = masked_output(model, inputs, graph, keep) if verify else None
        if inplace:
            with removed(model, graph, keep):
                check_against(model, inputs, reference, graph)
            return model
        smaller, _ = remove(model, graph, keep)
        check_against(smaller, inputs, reference, graph)
        return smaller


def _program(model: nn.Module, inputs: Inputs, inplace: bool) -> nn.Module:
    from netsmith.cutting.program import as_program

    if inplace:
        raise EditError("form='program' makes a new module; it cannot be had with inplace=True")
    return as_program(model, inputs)


def _why_nothing(graph: StructureGraph, protect: Iterable[str]) -> str:
    if graph.groups:
        return f"protect={list(protect)} covers all {len(graph.groups)} groups"
    reasons = sorted(set(graph.frozen.values()))
    if not reasons:
        return "no weights can be seen; packed ones, as quantised layers have, cannot be cut"
    hint = "; form='program' frees sizes that are written in the code" if WRITTEN in reasons else ""
    return "every dimension is fixed (" + "; ".join(reasons[:3]) + ")" + hint


def _multiples(graph: StructureGraph, round_to: RoundTo, latency: CostTable | None) -> dict[str, int]:
    if isinstance(round_to, Mapping):
        return {group.name: int(round_to.get(group.name, 1)) for group in graph.groups}
    if round_to == "auto":
        return liked_multiples(graph, latency)
    if not isinstance(round_to, int) or isinstance(round_to, bool) or round_to < 1:
        raise BudgetError(f"round_to={round_to!r} must be a whole number of channels, a mapping, or 'auto'")
    return {group.name: round_to for group in graph.groups}
