"""Group-HS on a CNN of three convolutions with Fashion-MNIST: an exact cut to a third, two groupings.

The quick tier checks the cut alone; the full tier trains on 20,000 images.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import netsmith as ns
from common import Evidence
from netsmith import tasks, zoo
from netsmith.graph import StructureGraph
from netsmith.graph.masked import run_masked
from netsmith.penalties import GroupHoyerSquare
from netsmith.recipes.deephoyer import staying, trimming
from netsmith.recipes.strength_ramp import StrengthRamp
from netsmith.tasks import Task
from netsmith.train import fit

STRENGTH = 0.015
"""For the comparison of groupings: loss units per effective row or column."""


def main() -> int:
    with Evidence("deephoyer-channels") as evidence:
        sizes = {"train_size": 20_000} if evidence.full else {"train_size": 600, "test_size": 1000}
        task = tasks.load("fashion-mnist", **sizes)
        epochs = 8 if evidence.full else 1
        torch.manual_seed(evidence.seed)
        dense = zoo.build("small-cnn", classes=10, input_shape=task.input_shape, width=0.5)
        fit_quietly(dense, task, epochs)
        cut(evidence, task, dense, epochs)
        if evidence.full:
            groupings(evidence, task, dense, epochs)
    return evidence.status


def cut(evidence: Evidence, task: Task, dense: nn.Module, epochs: int) -> None:
    """Cut the network to a third of its multiply-adds after training with Group-HS."""
    x = task.test.tensors[0][:64]
    before = 100 * task.evaluate(dense)
    graph, budget = ns.trace(dense, x), ns.Budget(macs=1 / 3)
    sparse = copy.deepcopy(dense)
    penalty = GroupHoyerSquare(graph, strength=1e-3)
    fit_quietly(sparse, task, epochs, penalty, StrengthRamp(penalty, graph, budget, staying(graph)))
    small = ns.shrink(sparse, x, budget=budget, score=trimming)
    sparse.eval(), small.eval()
    kept = _kept(ns.records(small)[0], graph)
    with torch.no_grad():
        gap = float((run_masked(sparse, x, ns.trace(sparse, x), kept) - small(x)).abs().max())
    evidence.row(
        "largest gap between the small and the masked network",
        reference="<= 1e-5",
        got=gap,
        holds=gap <= 1e-5,
    )
    fit_quietly(small, task, (epochs + 1) // 2)
    fewer = ns.profile(dense, x).total["macs"] / ns.profile(small, x).total["macs"]
    lost = before - 100 * task.evaluate(small)
    evidence.row("times fewer multiply-adds", reference=">= 3", got=fewer, holds=fewer >= 3)
    evidence.row(
        f"points of test accuracy lost (dense {before:.2f}, {epochs}+{epochs}+{(epochs + 1) // 2} epochs)",
        reference="<= 1",
        got=lost,
        holds=lost <= 1 if evidence.full else None,
    )


def groupings(evidence: Evidence, task: Task, dense: nn.Module, epochs: int) -> None:
    """Compare the paper's two-way grouping with output channels only, at one strength."""
    pairs = {}
    for dims in (("out", "in"), ("out",)):
        model = copy.deepcopy(dense)
        fit_quietly(model, task, epochs, GroupHoyerSquare(strength=STRENGTH, dims=dims))
        pairs[dims] = _live_pairs(model)
        evidence.row(
            f"live in x out pairs, grouped by {' and '.join(dims)} at {STRENGTH:g}: test accuracy",
            reference="-",
            got=100 * task.evaluate(model),
            holds=None,
        )
    evidence.row(
        "live in x out pairs with both groupings",
        reference=f"below the {pairs[('out',)]} of output only",
        got=pairs["out", "in"],
        holds=pairs["out", "in"] < pairs[("out",)],
    )


def _live_pairs(model: nn.Module) -> int:
    """Count (output, input) pairs whose row and column both hold over a tenth of their trimming threshold."""
    total = 0
    for weight in (p.detach() for p in model.parameters() if p.dim() >= 2):
        live = []
        for dim in (0, 1):
            norms = weight.transpose(0, dim).flatten(1).norm(dim=1)
            live.append(int((norms > 0.1 * norms.square().sum() / norms.sum()).sum()))
        total += live[0] * live[1]
    return total


def _kept(record: dict[str, Any], graph: StructureGraph) -> dict[str, torch.Tensor]:
    keep = graph.full()
    for name, removed in record["groups"].items():
        keep[name][removed] = False
    return keep


def fit_quietly(
    model: nn.Module,
    task: Task,
    epochs: int,
    penalty: GroupHoyerSquare | None = None,
    after_step: Callable[..., None] | None = None,
) -> None:
    schedule = "cosine" if after_step is None else "constant"
    fit(
        model, task.train, epochs=epochs, penalty=penalty, after_step=after_step, schedule=schedule,
        augment=task.augment, progress=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
