"""DeepHoyer: train until whole channels are near zero, cut them, train what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.penalties.channels import ChannelNorms
from netsmith.penalties.group_hoyer_square import GroupHoyerSquare

if TYPE_CHECKING:
    from netsmith.contracts import Clock, Loss
    from netsmith.cost import Budget
    from netsmith.graph import StructureGraph
    from netsmith.recipes.job import Job


def trimming(model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
    """Score each channel by its norm over the bar at which Group-Hoyer-Square turns from trimming to growing.

    ``score(c) = n_c * sum n / sum n^2`` over the channels of its group: 1 is the bar, 0 a channel that has
    gone, and groups of different scale or with different numbers of survivors compare. A group that is all
    zero, or owns no weight, scores 1.
    """
    scores = {group.name: torch.ones(group.size, dtype=torch.float64) for group in graph.groups}
    with torch.no_grad():
        norms = ChannelNorms(graph).by_group(model)
    for name, own in norms.items():
        if own.any():
            scores[name] = own.double().cpu() * float(own.sum() / own.square().sum())
    return scores


class Ramp:
    """Keeps a penalty as strong as the budget needs: an ``after_step`` callable for the sparse training.

    Counts a channel as leaving when its :func:`trimming` score is below ``LEAVING`` and compares what the
    others cost with a target that falls linearly from the dense cost to the budget during the first
    ``ARRIVAL`` of the run. Above the target the strength is multiplied by ``UP``, else by ``DOWN`` (not below
    a hundredth of where it began), ``CHECKS`` times in all. It falls faster than it grows because a channel
    below the threshold goes on falling.
    """

    LEAVING = 0.5
    ARRIVAL = 0.75
    CHECKS = 60
    UP = 1.3
    DOWN = 0.4

    def __init__(self, penalty: GroupHoyerSquare, graph: StructureGraph, budget: Budget) -> None:
        from netsmith.cost import Cost
        from netsmith.cutting.budgeting import cost_tables

        self.penalty = penalty
        self.graph = graph
        self.measure = Cost(graph, **cost_tables(budget)).meter(set(budget.kinds))
        dense = self.measure({})
        self.limits = budget.limits(dense)
        self.dense = self._excess(dense)
        self.least = penalty.strength / 100
        self.checks = 0

    def excess(self, model: nn.Module) -> float:
        """Return what the channels that are not leaving cost, as a multiple of the budget."""
        scores = trimming(model, None, self.graph)
        return self._excess(self.measure({name: score >= self.LEAVING for name, score in scores.items()}))

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        """Adapt the strength when it is time for a check."""
        due = int(clock.progress * self.CHECKS)
        if due > self.checks:
            self.checks = due
            target = max(1.0, self.dense + (1.0 - self.dense) * clock.progress / self.ARRIVAL)
            factor = self.UP if self.excess(model) > target else self.DOWN
            self.penalty.strength = max(self.least, self.penalty.strength * factor)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"strength": self.penalty.strength, "checks": self.checks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        self.penalty.strength, self.checks = state["strength"], state["checks"]

    def _excess(self, cost: Mapping[str, float]) -> float:
        return max(cost[kind] / limit for kind, limit in self.limits.items())


@card(
    title="DeepHoyer, structural: sparse training with Group-Hoyer-Square, cut, fine-tune",
    paper="arXiv:1908.09979",
    venue="ICLR 2020",
    differs="groups are the coupled channels of the whole network; the strength follows the budget unless "
    "fixed; channels go, lowest share of the trimming threshold first, until the budget holds",
)
def deephoyer(job: Job) -> nn.Module:
    """Return the model without the channels that sparse training drove lowest, fine-tuned.

    Options:
        strength: of the penalty at the start, loss units per effective channel.
        adapt: whether the strength then follows the budget, or stays.
        sparse: share of the epochs that train with the penalty, between 0 and 1; the others fine-tune.
        learning_rate: of the sparse training; 0 takes the trainer's default.
        finetune_rate: of the fine-tuning; 0 takes the trainer's default.
        scope: ``"global"`` ranks all channels together, ``"local"`` within each group.

    Raises:
        NetsmithError: ``sparse`` is not between 0 and 1, or ``strength`` is negative or not finite.
    """
    import netsmith as ns

    settings = job.settings(
        strength=1e-3, adapt=True, sparse=0.5, learning_rate=0.0, finetune_rate=0.0, scope="global"
    )
    if not 0 <= settings["sparse"] <= 1:
        raise NetsmithError(
            f"option sparse is {settings['sparse']}; expected the share of epochs with the penalty, 0 to 1"
        )
    epochs = round(job.epochs * settings["sparse"])
    graph = ns.trace(job.model, job.inputs)
    penalty = GroupHoyerSquare(graph, strength=settings["strength"])
    ramp = Ramp(penalty, graph, job.budget)
    job.fit(
        job.model,
        epochs=epochs,
        penalty=penalty,
        after_step=ramp if settings["adapt"] else None,
        # The rate stays up until the cut: a rate that falls would end the trimming before it is done.
        schedule="constant",
        learning_rate=settings["learning_rate"] or None,
        stage="sparse",
    )
    excess = ramp.excess(job.model)
    job.notes["deephoyer"] = {
        "sparse_epochs": epochs,
        "strength_at_the_end": penalty.strength,
        "cost_over_budget_before_the_cut": excess,
    }
    job.log(f"channels that sparse training left cost {excess:.2f} of the budget; cutting to it")
    small = ns.shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=trimming,
        round_to=job.round_to,
        scope=settings["scope"],
    )
    job.fit(
        small,
        epochs=job.epochs - epochs,
        learning_rate=settings["finetune_rate"] or None,
        stage="finetune",
    )
    return small
