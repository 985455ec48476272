"""Structured projections: train inside shrinking balls, cut the channels that died, retrain masked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.masks import hold, threshold_masks
from netsmith.projections import l11_bilevel, l21_ball

if TYPE_CHECKING:
    from netsmith.contracts import Clock
    from netsmith.graph import StructureGraph
    from netsmith.recipes.job import Job

BALLS = {"l11": l11_bilevel, "l21": l21_ball}


class ReaderBalls:
    """Balls for the weights that read each group's channels: ``[channels, entries]``, a channel per row.

    A channel that nothing reads can go without changing the output, so it is readers that are projected. Used
    as ``after_epoch``, the radii fall from the norms at construction to ``share`` of them in the course of a
    run.

    Args:
        model: dense; its norms set the radii.
        graph: its structure graph.
        ball: ``"l11"`` or ``"l21"``.
        share: of the norm that is left at the end, in (0, 1].
    """

    def __init__(self, model: nn.Module, graph: StructureGraph, *, ball: str, share: float) -> None:
        if ball not in BALLS:
            raise UnknownNameError("ball", ball, BALLS)
        if not 0 < share <= 1:
            raise NetsmithError(
                f"option share is {share}; expected the share of the norm to keep, above 0 up to 1"
            )
        self.ball = BALLS[ball]
        self.share = share
        self.slices = {
            group.name: readers
            for group in graph.groups
            if (readers := [s for s in group.slices if s.role == "in" and s.tensor in graph.parameters])
        }
        order = {"l11": 1, "l21": 2}[ball]
        self.radii = {
            name: float(torch.linalg.vector_norm(self.rows(model, name).double(), ord=order, dim=1).sum())
            for name in self.slices
        }

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        """Project the readers of every group in place."""
        for name, slices in self.slices.items():
            radius = self.radii[name] * self.share**clock.progress
            projected = self.ball(self.rows(model, name), radius, dim=0)
            for one in slices:
                readers = model.get_parameter(one.tensor).detach().movedim(one.dim, 0)
                shape = (*one.index.shape, *readers.shape[1:])
                part, projected = projected.tensor_split([math.prod(shape[1:])], dim=1)
                readers[one.index.to(readers.device)] = part.reshape(shape)

    def rows(self, model: nn.Module, name: str) -> Tensor:
        """Return what reads each channel of a group, ``[channels, entries]``."""
        parts = []
        for one in self.slices[name]:
            readers = model.get_parameter(one.tensor).detach().movedim(one.dim, 0)
            parts.append(readers[one.index.to(readers.device)].flatten(1))
        return torch.cat(parts, dim=1)

    def scores(self, model: nn.Module, graph: StructureGraph) -> dict[str, Tensor]:
        """Return how much each channel is read, relative to the mean of its group; 1 where nothing says."""
        scores = {group.name: torch.ones(group.size, dtype=torch.float64) for group in graph.groups}
        for name in self.slices:
            sums = self.rows(model, name).abs().sum(1).double().cpu()
            if sums.any():
                scores[name] = sums / sums.mean()
        return scores


@card(
    "Structured projections: balls that shrink while training, cut, masked retraining",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs=(
        "projects what reads a coupled channel, over all its layers, instead of each matrix; the radius "
        "falls in training instead of being set once; channels go, least read first, until a budget holds"
    ),
)
def structured_projections(job: Job) -> nn.Module:
    """Return the model without the channels that projected training left least read, retrained.

    Options:
        ball: ``"l11"`` (zero channels, and zeros inside the others) or ``"l21"`` (zero channels).
        share: of each group's norm that is left when projected training ends, above 0 up to 1.
        sparse: share of the epochs that train with the projection, between 0 and 1; the others retrain.
        masked: whether entries that are zero after the cut stay zero while retraining.
        learning_rate: of the projected training; 0 takes the trainer's default.
        finetune_rate: of the retraining; 0 takes the trainer's default.
        scope: ``"global"`` ranks all channels together, ``"local"`` within each group.

    Raises:
        NetsmithError: ``share`` or ``sparse`` out of range, or no ball of that name.
    """
    import netsmith as ns

    settings = job.settings(
        ball="l11", share=0.25, sparse=0.5, masked=True, learning_rate=0.0, finetune_rate=0.0, scope="global"
    )
    epochs = _share_of_epochs(job, settings["sparse"])
    graph = ns.trace(job.model, job.inputs)
    balls = ReaderBalls(job.model, graph, ball=settings["ball"], share=settings["share"])
    rate = settings["learning_rate"] or None
    job.fit(job.model, epochs=epochs, after_epoch=balls, learning_rate=rate, stage="sparse")
    scores = balls.scores(job.model, graph)
    dead = sum(int((score == 0).sum()) for score in scores.values())
    total = sum(group.size for group in graph.groups)
    job.log(f"projected training left {total - dead} of {total} channels read")
    small = ns.shrink(
        job.model,
        job.inputs,
        budget=job.budget,
        score=scores,
        round_to=job.round_to,
        scope=settings["scope"],
    )
    job.notes["structured-projections"] = {"dead_channels": dead, "channels": total, "sparse_epochs": epochs}
    _retrain(job, small, job.epochs - epochs, settings["finetune_rate"] or None, masked=settings["masked"])
    return small


def _share_of_epochs(job: Job, sparse: float) -> int:
    if not 0 <= sparse <= 1:
        raise NetsmithError(
            f"option sparse is {sparse}; expected the share of epochs with the projection, 0 to 1"
        )
    return round(job.epochs * sparse)


def _retrain(job: Job, small: nn.Module, epochs: int, learning_rate: float | None, *, masked: bool) -> None:
    """Fine-tune the cut model, with its zero weights held at zero if ``masked``."""
    if not masked:
        job.fit(small, epochs=epochs, learning_rate=learning_rate, stage="finetune")
        return
    masks = threshold_masks(small, rule="abs", value=1e-4)
    held = 1 - sum(int(m.sum()) for m in masks.values()) / sum(m.numel() for m in masks.values())
    job.notes["structured-projections"]["zero_weights"] = held
    with hold(small, masks) as after_step:
        job.fit(small, epochs=epochs, after_step=after_step, learning_rate=learning_rate, stage="finetune")
