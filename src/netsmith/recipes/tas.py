"""TAS: search widths and depths, then train the network found with the dense one as its teacher."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch

from netsmith.cards import card
from netsmith.errors import BudgetError, EditError, NetsmithError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netsmith.recipes.job import Job
    from netsmith.searches import TransformableSearch


@card(
    title="TAS: pruning by transformable architecture search, with knowledge transfer",
    paper="X. Dong, Y. Yang, 2019, arXiv:1905.09717",
    venue="NeurIPS 2019",
    differs=(
        "as its search, whose layers behind one residual addition share a width; the rate of the logits "
        "grows as the steps get fewer (the paper: 0.001 over 600 epochs); narrower ratios than 0.3 join "
        "where the budget asks for them; start=trained is not the paper's: the most important channels come "
        "first in every width, and the network found keeps their weights"
    ),
    budgets=("macs", "params", "bytes"),
)
def tas(job: Job) -> nn.Module:
    """Return the network that a search of widths and depths finds, trained with the dense one as teacher.

    See :class:`~netsmith.searches.TransformableSearch` and :class:`~netsmith.targets.Distillation`. The notes
    have the architecture, whether the most probable one kept the budget, and what was not searched.

    Options:
        search: share of the epochs that the search takes, in [0, 1]; the rest trains what was found.
        start: ``"scratch"`` searches and trains from new weights; ``"trained"`` from those of the job.
        depth: whether blocks may go, where the network has stages of them.
        smallest: the least share of a group's channels that may stay; the others are every tenth above it.
        samples: widths drawn at once.
        cost_weight: of the loss that draws the cost into the budget.
        structure_rate: learning rate of the logits; 0 takes 20 over the number of steps, at most 0.1.
        share: of the teacher in the loss, in [0, 1].
        temperature: of the teacher.
        learning_rate: of all weights; 0 takes the trainer's default.

    Raises:
        BudgetError: the budget cannot be reached, or the share of epochs is out of range.
        NetsmithError: an option that is unknown or out of range, or data that has no two halves.
        EditError: no width of the network can be searched.
    """
    settings = job.settings(
        search=0.5,
        start="scratch",
        depth=True,
        smallest=0.3,
        samples=2,
        cost_weight=2.0,
        structure_rate=0.0,
        share=0.9,
        temperature=4.0,
        learning_rate=0.0,
    )
    if not 0 <= settings["search"] <= 1:
        raise BudgetError(f"search={settings['search']} must be a share of the epochs, from 0 to 1")
    if settings["start"] not in ("scratch", "trained"):
        raise UnknownNameError("start", settings["start"], ("scratch", "trained"))
    if job.task.kind == "nodes":
        raise NetsmithError(f"tas needs two halves of the data, and data set {job.task.name!r} is one graph")
    teacher, epochs = copy.deepcopy(job.model), math.ceil(job.epochs * settings["search"])
    searched = _search(job, settings, epochs)
    likeliest, found = searched.architecture(within_budget=False), searched.architecture()
    job.notes["architecture"] = {"widths": found.widths, "depths": found.depths, "cost": found.cost}
    job.notes["most_probable"] = likeliest.cost
    job.notes["not_searched"] = dict(searched.space.fixed)
    job.log(f"found {len(found.widths)} widths and {len(found.depths)} depths: {found.cost}")
    small = searched.build(found)
    _train(job, settings, small, teacher, job.epochs - epochs)
    return small


def _search(job: Job, settings: dict[str, Any], epochs: int) -> TransformableSearch:
    """Return a search that has been trained for some epochs."""
    from netsmith.searches import Alternation, halves
    from netsmith.train import default_optimizer
    from netsmith.training.reinitialise import reinitialise_

    data = halves(job.task.train, job.seed)
    model = copy.deepcopy(job.model)
    if settings["start"] == "scratch":
        reinitialise_(model, job.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        search = _space(job, settings, model)
    # What a step takes of each half is known to the trainer alone; 32 is the least it takes.
    steps = max(1, epochs * (len(data) // (job.task.defaults.batch_size or 32)))
    alternation = Alternation(
        search,
        job.task.batch_loss,
        cost_weight=settings["cost_weight"],
        learning_rate=settings["structure_rate"] or min(0.1, max(1e-3, 20 / steps)),
    )
    augment = job.task.augment
    job.fit(
        search,
        data=data,
        epochs=epochs,
        loss=alternation.loss,
        after_step=alternation.after_step,
        augment=None if augment is None else lambda pair, noise: tuple(augment(x, noise) for x in pair),
        optimizer=default_optimizer(search.network),
        learning_rate=settings["learning_rate"] or None,
        stage="search",
    )
    return search


def _space(job: Job, settings: dict[str, Any], model: nn.Module) -> TransformableSearch:
    """Return the search, with ratios as narrow as the budget needs and depth where there is any."""
    from netsmith.searches import TransformableSearch

    order = _most_important_first(job, model) if settings["start"] == "trained" else None
    depth, smallest = settings["depth"], settings["smallest"]
    if not 0 < smallest <= 1:
        raise NetsmithError(f"smallest={smallest} must be a share of the channels, above 0 up to 1")
    while True:
        ratios = [smallest + 0.1 * number for number in range(10) if smallest + 0.1 * number < 1] + [1.0]
        try:
            return TransformableSearch(
                model,
                job.inputs,
                budget=job.budget,
                ratios=ratios,
                depth=depth,
                samples=settings["samples"],
                order=order,
                round_to=job.round_to if isinstance(job.round_to, int) else 1,
            )
        except BudgetError:
            if smallest < 0.02:
                raise
            smallest /= 2
        except EditError:
            if not depth:
                raise
            depth = False


def _most_important_first(job: Job, model: nn.Module) -> dict[str, Tensor]:
    from netsmith.graph import trace
    from netsmith.scores import magnitude

    scores = magnitude(model, None, trace(model, job.inputs))
    return {name: score.argsort(descending=True, stable=True) for name, score in scores.items()}


def _train(job: Job, settings: dict[str, Any], small: nn.Module, teacher: nn.Module, epochs: int) -> None:
    from netsmith.targets import Distillation
    from netsmith.training.reinitialise import reinitialise_

    if settings["start"] == "scratch":
        reinitialise_(small, job.seed)
    loss = Distillation(
        teacher, loss=job.task.loss, temperature=settings["temperature"], share=settings["share"]
    )
    job.fit(
        small, epochs=epochs, loss=loss, learning_rate=settings["learning_rate"] or None, stage="transfer"
    )
