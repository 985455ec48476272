"""Structured knowledge transfer: features teach by their patterns and by their relations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.calling import call, moved
from netsmith.cards import card
from netsmith.errors import NetsmithError
from netsmith.modes import evaluating
from netsmith.targets.distillation import frozen_copy
from netsmith.targets.taps import tapped

Reduction = Literal["mean", "sum"]


def pattern_transfer(student: Tensor, teacher: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return ``1 - cos`` between the channels at each position of two maps ``[batch, channels, *space]``.

    A position where either map is all zero counts as cosine 0.
    """
    apart = 1 - F.cosine_similarity(student.flatten(2), teacher.flatten(2), dim=1, eps=1e-8)
    return apart.sum() if reduction == "sum" else apart.mean()


def relation_transfer(
    student: Sequence[Tensor], teacher: Sequence[Tensor], reduction: Reduction = "mean"
) -> Tensor:
    """Return how far the relations between every two of the student's maps are from the teacher's.

    Maps ``[batch, channels, height, width]`` are max-pooled (ceil mode) to the smallest of them, by the
    product of the steps from each size to the next smaller one, and normalised per image and channel; the
    relation of maps i < j is ``G_ij = F_i F_jᵀ / (height width)``, and the result is the sum over pairs of
    the squared distance of the two G, per entry and image for ``"mean"``.

    Raises:
        NetsmithError: sizes that integer pooling does not bring together.
    """
    ours, theirs = _aligned(student), _aligned(teacher)
    total = ours[0].new_zeros(())
    for i, j in combinations(range(len(ours)), 2):
        relation, target = (maps[i] @ maps[j].mT / maps[i].shape[-1] for maps in (ours, theirs))
        distance = (relation - target).square()
        total = total + (distance.sum() if reduction == "sum" else distance.mean())
    return total


def _aligned(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return maps pooled to one size, normalised and flattened to ``[batch, channels, positions]``."""
    ladders = [sorted({m.shape[dim] for m in maps}) for dim in (2, 3)]
    smallest = tuple(ladder[0] for ladder in ladders)
    aligned = []
    for one in maps:
        factors = [_pooling(size, ladder) for size, ladder in zip(one.shape[2:], ladders, strict=True)]
        pooled = F.max_pool2d(one, factors, factors, ceil_mode=True) if max(factors) > 1 else one
        if tuple(pooled.shape[2:]) != smallest:
            raise NetsmithError(
                f"a map of {tuple(one.shape[2:])} cannot be pooled to {smallest} by whole factors; tap maps "
                "whose sizes are multiples of one another"
            )
        flat = pooled.flatten(2)
        variance, mean = torch.var_mean(flat, dim=2, correction=0, keepdim=True)
        aligned.append((flat - mean) / (variance + 1e-5).sqrt())
    return aligned


def _pooling(size: int, ladder: list[int]) -> int:
    """Return by what a size is pooled: sizes that pooling in ceil mode made tell its strides step by step.

    From 10 to 2 by way of 5 and 3 these are three strides of two, so 8, where 10 and 2 alone would say 5.
    """
    sizes = ladder[: ladder.index(size) + 1]
    return prod(-(-large // small) for small, large in pairwise(sizes))


@card(
    title="Structured knowledge transfer (SKT)",
    paper="arXiv:2003.10120",
    venue="ACM Multimedia 2020",
    differs=(
        "for any network with feature maps, not only crowd counting; means instead of sums by default, so "
        "that the weights do not depend on image size and batch (reduction='sum' is the paper's); an adapter "
        "only where the widths differ; relations over every image of the batch, not the first alone"
    ),
)
class StructuredTransfer(nn.Module):
    """A loss ``(student, batch) -> scalar``: labels, the teacher's output, its patterns and its relations.

    ``loss(y, labels) + soft soft_loss(y, y_t) + pattern Σ_k (1 - cos) + relation Σ_{i<j} ‖G_ij - G_ij^t‖²``
    with the features of the taps (Liu et al. 2020). Where a student's map has another width than the
    teacher's, a 1x1 convolution with ReLU brings it there; these adapters are the parameters of this module
    (give them to the optimiser too) and no part of the student. Output maps take part in the relations.

    The paper sums, one image at a time: its weights of 0.5 fit maps of about 70x110. ``reduction="sum"`` is
    that. The mean, by default, is a sum divided by batch x height x width (patterns), by batch x channels_i x
    channels_j (relations) and by the entries of the output (soft); multiply a weight by as much to get the
    same pull, or begin with terms of the size of the labels' loss.

    Args:
        teacher: a trained network; copied, in evaluation mode, without gradients.
        student: the network that will learn; only its shapes are looked at here.
        inputs: example inputs of both.
        taps: module path in the student -> module path in the teacher.
        loss: ``(output, labels) -> scalar``.
        soft_loss: ``(output, teacher's output) -> scalar``; default their squared distance.
        soft, pattern, relation: weights of the terms, 0 or more.
        reduction: of patterns, relations and the default soft loss: ``"mean"``, or ``"sum"`` over positions,
            entries and images.

    Raises:
        UnknownNameError: a tap that is not there.
        NetsmithError: negative weights, no taps, maps that do not fit, or a student that is the teacher.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        inputs: Any,
        *,
        taps: Mapping[str, str],
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        soft_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        soft: float = 1.0,
        pattern: float = 0.5,
        relation: float = 0.5,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        if min(soft, pattern, relation) < 0 or not taps:
            raise NetsmithError(
                f"soft={soft}, pattern={pattern}, relation={relation}, {len(taps)} taps: expected weights of "
                "0 or more and at least one tap"
            )
        if teacher is student:
            raise NetsmithError("teacher and student are the same object; give the student a copy of its own")
        self.teacher = frozen_copy(teacher)
        self.taps = dict(taps)
        self.loss = loss
        self.soft_loss = soft_loss or partial(F.mse_loss, reduction=reduction)
        self.soft, self.pattern, self.relation = soft, pattern, relation
        self.reduction: Reduction = reduction
        with evaluating(student), torch.no_grad(), tapped(student, self.taps) as ours:
            call(student, inputs)
        self.adapters = nn.ModuleList(
            _adapter(name, ours[name], theirs) for name, theirs in self._teach(inputs)[1].items()
        )

    def train(self, mode: bool = True) -> StructuredTransfer:
        """Set the mode of the adapters; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, student: nn.Module, batch: Any) -> Tensor:
        """Return the loss of the student on a batch of (inputs, labels)."""
        inputs, labels = batch
        with tapped(student, self.taps) as seen:
            output = call(student, inputs)
        target, theirs = self._teach(inputs)
        if target.shape != output.shape:
            raise NetsmithError(
                f"the teacher's output {tuple(target.shape)} does not fit the student's {tuple(output.shape)}"
            )
        ours = [adapter(seen[name]) for name, adapter in zip(theirs, self.adapters, strict=True)]
        total = self.loss(output, labels) + self.soft * self.soft_loss(output, target)
        for mine, other in zip(ours, theirs.values(), strict=True):
            total = total + self.pattern * pattern_transfer(mine, other, self.reduction)
        maps, others = [*ours], [*theirs.values()]
        if output.dim() == 4:
            maps.append(output)
            others.append(target)
        return total + self.relation * relation_transfer(maps, others, self.reduction)

    def _teach(self, inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the teacher's output, and its features by the student's taps."""
        device = next((tensor.device for tensor in self.teacher.parameters()), None)
        with torch.no_grad(), tapped(self.teacher, self.taps.values()) as seen:
            output = call(self.teacher, moved(inputs, device))
        return output, {name: seen[path] for name, path in self.taps.items()}


def _adapter(name: str, student: Tensor, teacher: Tensor) -> nn.Module:
    if student.dim() != 4 or student.shape[2:] != teacher.shape[2:]:
        raise NetsmithError(
            f"tap {name!r}: the student's {tuple(student.shape)} and the teacher's {tuple(teacher.shape)} "
            "are no maps [batch, channels, height, width] of one size; tap modules where they are"
        )
    if student.shape[1] == teacher.shape[1]:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(student.shape[1], teacher.shape[1], 1), nn.ReLU())
