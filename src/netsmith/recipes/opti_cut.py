"""Opti-Cut: approach a budget in chunks that shrink, scoring the network afresh before each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs, Keep, Score
from netsmith.cost.budget import Budget
from netsmith.cost.counting import Cost, CostTable
from netsmith.cost.fixed_constant import FixedConstant
from netsmith.cost.latency import LatencyTable
from netsmith.cost.widths import preferred_multiples
from netsmith.cutting.budgeting import cost_tables
from netsmith.cutting.shrink import shrink
from netsmith.errors import BudgetError
from netsmith.graph import StructureGraph, trace
from netsmith.recipes.chunks import absolute, chunks_of
from netsmith.scores.magnitude import magnitude

Tune = Callable[[nn.Module, int, int], None]
"""Trains a network in place after a chunk: (network, number of the chunk, number of chunks)."""
NOISE = 0.02
"""By how much a measured latency may exceed its limit."""
CHECKS = 3


@dataclass(kw_only=True)
class OptiCut:
    r"""Removes low-scoring channels chunk by chunk until a budget holds, and verifies a latency budget.

    With excess :math:`e_0 = cost - limit`, chunk i brings the predicted cost to
    :math:`limit + e_0 (1 - chunk)^i` and the last one to the limit. Scores of redundant channels do not add
    up, so every chunk is scored on the network as it then is. A latency is predicted from the table; at the
    end the true one is measured, and while it is above the limit by more than 2 % the prediction is tightened
    by the observed ratio and cutting goes on, with three measurements at most.

    Args:
        inputs: example inputs of the network.
        budget: what it may cost; shares are of the network given first.
        score: ranks the channels, lowest first.
        tune: trains the network in place after each chunk but the last.
        chunk: share of the remaining excess that one chunk removes, in (0, 1]; 1 cuts once.
        per_cost: rank by score per cost that the channel saves, for costs that differ much between layers.
        round_to: as for :func:`netsmith.shrink`. ``"auto"`` is decided once, on the network given first, and
            halved if the budget cannot be reached with it. With a latency budget 1 means ``"auto"``: between
            the blocks of a kernel a narrower layer can be the slower one.
        latency: table for a latency budget; default measured on this machine.
        log: takes one line per chunk.

    Attributes:
        steps: per chunk its number, predicted costs, and channels left; then the measured latencies.

    Raises:
        BudgetError: the budget cannot be reached, or ``chunk`` is out of range.
    """

    inputs: Inputs
    budget: Budget
    score: Score
    tune: Tune | None = None
    chunk: float = 0.2
    per_cost: bool = False
    round_to: int | Literal["auto"] = 1
    latency: CostTable | None = None
    log: Callable[[str], None] = lambda message: None
    steps: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, model: nn.Module) -> nn.Module:
        """Return the smaller network; ``model`` itself is only read, unless nothing has to be removed."""
        chunks = chunks_of(self.chunk)
        graph = trace(model, self.inputs)
        self._prepare(model, graph)
        first = self._cost(graph)
        limits = self.budget.limits(first)
        if self.budget.holds(first, first):
            self.log("the budget already holds; nothing to remove")
        else:
            self._check_reachable(model, limits)
        for number in range(1, chunks + 1):
            left = 0.0 if number == chunks else (1 - self.chunk) ** number
            target = {kind: limit + max(0.0, first[kind] - limit) * left for kind, limit in limits.items()}
            smaller = self._cut(model, target)
            self._note(smaller, f"chunk {number}/{chunks}", target)
            if self.tune is not None and smaller is not model and number < chunks:
                self.tune(smaller, number, chunks)
            model = smaller
        return self._verified(model, limits)

    def _prepare(self, model: nn.Module, graph: StructureGraph) -> None:
        self._tables = cost_tables(self.budget, self.latency)
        self._measured = self._tables.get("latency")
        if isinstance(self._measured, LatencyTable) and self._measured.runner is not None:
            self._measured.calibrate(graph, model, self.inputs)
        if self._measured is not None:
            self._tables["latency"] = FixedConstant(self._measured, self._measured.constant(graph))
        self._multiples: Any = self.round_to
        if self.round_to == "auto" or (self.round_to == 1 and self._measured is not None):
            table = self._measured if isinstance(self._measured, LatencyTable) else LatencyTable()
            self._multiples = preferred_multiples(graph, table)

    def _check_reachable(self, model: nn.Module, limits: Mapping[str, float]) -> None:
        while True:
            try:
                self._shrunk(model, limits, magnitude, verify=False)
                return
            except BudgetError:
                if not isinstance(self._multiples, dict) or max(self._multiples.values()) == 1:
                    raise
                self._multiples = {name: max(1, multiple // 2) for name, multiple in self._multiples.items()}

    def _cost(self, graph: StructureGraph, keep: Keep | None = None) -> dict[str, float]:
        return Cost(graph, **self._tables).meter(set(self.budget.kinds))(keep or {})

    def _cut(self, model: nn.Module, target: Mapping[str, float]) -> nn.Module:
        graph = trace(model, self.inputs)
        now = self._cost(graph)
        if all(now[kind] <= limit for kind, limit in target.items()):
            return model
        scores = self.score(model, None, graph)
        if self.per_cost:
            scores = {name: score / self._saving(graph, name, now, target) for name, score in scores.items()}
        return self._shrunk(model, target, scores)

    def _shrunk(
        self,
        model: nn.Module,
        target: Mapping[str, float],
        score: Score | Mapping[str, Tensor],
        verify: bool = True,
    ) -> nn.Module:
        return shrink(
            model,
            self.inputs,
            budget=absolute(target),
            score=score,
            round_to=self._multiples,
            latency=self._tables.get("latency"),
            energy=self._tables.get("energy"),
            verify=verify,
        )

    def _saving(
        self, graph: StructureGraph, name: str, now: Mapping[str, float], target: Mapping[str, float]
    ) -> float:
        """Return what a channel of a group saves of the target, over half the group to see past plateaus."""
        size = graph.group(name).size
        stays = (size + 1) // 2
        after = self._cost(graph, {name: torch.arange(size) < stays})
        saved = sum((now[kind] - after[kind]) / limit for kind, limit in target.items())
        return max(saved / max(size - stays, 1), 1e-12)

    def _verified(self, model: nn.Module, limits: Mapping[str, float]) -> nn.Module:
        table = self._measured
        if not isinstance(table, LatencyTable) or table.runner is None:
            return model
        limit = limits["latency"]
        for check in range(1, CHECKS + 1):
            graph = trace(model, self.inputs)
            measured, predicted = table.calibrate(graph, model, self.inputs), self._cost(graph)["latency"]
            self.steps.append({"step": f"check {check}", "measured": measured, "predicted": predicted})
            self.log(
                f"check {check}: measured {measured:.4g} s, predicted {predicted:.4g} s, limit {limit:.4g} s"
            )
            if measured <= limit * (1 + NOISE) or check == CHECKS:
                break
            target = {**limits, "latency": predicted * limit / measured}
            try:
                model = self._cut(model, target)
            except BudgetError as error:
                self.log(f"the prediction cannot be tightened further: {error}")
                break
            self._note(model, f"tightening {check}", target)
        return model

    def _note(self, model: nn.Module, step: str, target: Mapping[str, float]) -> None:
        graph = trace(model, self.inputs)
        cost, channels = self._cost(graph), sum(group.size for group in graph.groups)
        self.steps.append({"step": step, "target": dict(target), "cost": cost, "channels": channels})
        costs = ", ".join(f"{kind} {cost[kind]:.4g} (target {target[kind]:.4g})" for kind in target)
        self.log(f"{step}: {costs}, {channels} channels left")
