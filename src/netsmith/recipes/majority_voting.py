"""Majority voting: while the network trains, the channels that get the fewest votes go, again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.recipes.calibration import calibration, calibration_batch
from netsmith.recipes.chunks import absolute
from netsmith.recipes.pruning_events import PruningEvents, event_epochs

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Score
    from netsmith.cost.counting import CostTable
    from netsmith.recipes.job import Job


@card(
    title="Majority voting: prune by votes while training, no fine-tuning stage",
    paper="A. Alqahtani, X. Xie, E. Essa, M. W. Jones, 2020",
    venue="ICPR 2020",
    differs=(
        "vote rule and schedule are reconstructed, the abstract gives neither; starts from the network of "
        "the job, which is trained unless its dense epochs are 0; goes to a budget, its cost falling by the "
        "same factor at every event unless a rate is given; votes are those at the event, without a moving "
        "average; no stop of single layers by validation loss. Against chance in the same events the rule "
        "winner gained 4 points in a small CNN and nothing in an MLP, the other rules nothing sure"
    ),
)
def majority_voting(job: Job) -> nn.Module:
    """Return the model pruned by votes, event by event, while it trains for the epochs of the job.

    After a warm-up the channels with the fewest votes go at every event until the budget holds, and the rest
    of the epochs train the final shape; one learning-rate schedule goes through. See
    :class:`~netsmith.scores.MajorityVoting` and :class:`PruningEvents`.

    Options:
        rule: ``"winner"``, ``"topk"``, ``"mean"`` or ``"copeland"``; ``"random"`` is the control: the same
            events, and chance says which channels go.
        share: of the channels that ``"topk"`` votes for.
        standardise: compare activations in units of their deviation.
        per_class: let every class count alike, whatever its size.
        samples: training inputs that vote at each event.
        start: share of the epochs before the first event.
        stop: share of the epochs after which the shape is final.
        every: epochs between events; 0 makes six events.
        rate: share of the remaining channels that go at an event; 0 takes what the budget needs.
        scope: ``"local"`` removes the same share of every group, ``"global"`` ranks all together.
        fold: ``"mean"`` of what goes into the next bias, ``"regression"`` on what stays, or ``"none"``.
        min_width: channels of every group that stay.
        learning_rate: 0 takes the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached.
        NetsmithError: an option that is unknown or out of range.
    """
    from netsmith.train import default_optimizer

    settings = job.settings(
        rule="winner",
        share=0.1,
        standardise=False,
        per_class=False,
        samples=1024,
        start=0.1,
        stop=0.7,
        every=0,
        rate=0.0,
        scope="local",
        fold="mean",
        min_width=1,
        learning_rate=0.0,
    )
    at = event_epochs(job.epochs, settings["start"], settings["stop"], settings["every"])
    if not 0 <= settings["rate"] < 1:
        raise NetsmithError(f"option rate is {settings['rate']}; expected a share of channels, 0 to below 1")
    events, pace = _events(job, settings), _Pace(job, len(at), settings["rate"])
    optimizer, rate, model, begun = default_optimizer(job.model), settings["learning_rate"], job.model, 0
    for number, until in enumerate([*at, job.epochs], start=1):
        if until > begun or number > len(at):
            job.fit(
                model,
                epochs=until - begun,
                optimizer=optimizer,
                schedule=_part(begun, until, job.epochs),
                learning_rate=rate or None,
                stage=f"until event {number}" if number <= len(at) else "final shape",
            )
            begun = until
        target = pace.target(model, number) if number <= len(at) else None
        if target is not None:
            model, optimizer = events.step(
                model,
                optimizer,
                budget=absolute(target),
                scope=settings["scope"],
                round_to=job.round_to,
                **pace.tables,
            )
            widths = events.history[-1]["widths"]
            job.notes.setdefault("events", []).append({"epoch": until, "target": target, "widths": widths})
            job.log(f"event {number}/{len(at)} after {until} epochs: {sum(widths.values())} channels left")
    return model


class _Pace:
    """What the network may cost after each event; the last one is checked to be in reach."""

    def __init__(self, job: Job, events: int, rate: float) -> None:
        from netsmith.cutting.budgeting import cost_tables
        from netsmith.cutting.shrink import shrink

        self.job, self.events, self.rate = job, events, rate
        self.tables: dict[str, CostTable] = cost_tables(job.budget)
        self.first = self._cost(job.model, 0.0)
        self.limits = job.budget.limits(self.first)
        options: dict[str, Any] = {**self.tables, "round_to": job.round_to, "verify": False}
        shrink(job.model, job.inputs, budget=absolute(self.limits), **options)

    def target(self, model: nn.Module, event: int) -> dict[str, float] | None:
        """Return what a model may cost after an event, from 1; None where it costs no more already."""
        now = self._cost(model, 0.0)
        if event == self.events:
            target = self.limits
        elif self.rate:
            then = self._cost(model, self.rate)
            target = {kind: max(limit, then[kind]) for kind, limit in self.limits.items()}
        else:
            done = event / self.events
            excess = {kind: max(1.0, self.first[kind] / limit) for kind, limit in self.limits.items()}
            target = {kind: limit * excess[kind] ** (1 - done) for kind, limit in self.limits.items()}
        return target if any(now[kind] > limit for kind, limit in target.items()) else None

    def _cost(self, model: nn.Module, rate: float) -> dict[str, float]:
        """Return what a model costs without a share of every group, whichever channels they are."""
        from netsmith.cost import Cost
        from netsmith.graph import trace

        graph = trace(model, self.job.inputs)
        keep = {g.name: torch.arange(g.size) >= math.floor(g.size * rate) for g in graph.groups}
        return Cost(graph, **self.tables).meter(set(self.job.budget.kinds))(keep)


def _events(job: Job, settings: dict[str, Any]) -> PruningEvents:
    """Return what cuts, with the training inputs that vote."""
    from netsmith.scores.majority_voting import MajorityVoting
    from netsmith.scores.random import Random

    samples, loss = settings["samples"], calibration(job, settings["samples"])
    score: Score = Random(torch.Generator().manual_seed(job.seed))
    if settings["rule"] != "random":
        score = MajorityVoting(
            rule=settings["rule"],
            share=settings["share"],
            standardise=settings["standardise"],
            targets=calibration_batch(job, samples)[1] if settings["per_class"] else None,
        )
    return PruningEvents(
        job.inputs, loss, score=score, fold=settings["fold"], min_width=settings["min_width"]
    )


def _part(begun: int, until: int, epochs: int) -> Callable[[float], float]:
    """Return the part of the schedule of a whole run that a stage of it goes through."""
    from netsmith.training.schedules import cosine

    def part(progress: float) -> float:
        return cosine((begun + progress * (until - begun)) / max(epochs, 1))

    return part
