"""DeepHoyer on the LeNets with all of MNIST, and over the channels of a small CNN with Fashion-MNIST."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import netsmith as ns
from common import Evidence
from netsmith import tasks, zoo
from netsmith.graph import StructureGraph
from netsmith.graph.masked import run_masked
from netsmith.penalties import GroupHoyerSquare, HoyerSquare
from netsmith.recipes.deephoyer import Ramp, trimming
from netsmith.tasks import Task
from netsmith.train import fit
from three_stages import Split, prune, train


@dataclass(frozen=True)
class Network:
    """One network of the paper's table and the schedule used here, chosen on the validation images."""

    name: str
    weights: int
    fewer: float
    accuracy: float
    strength: float
    deviations: tuple[float, ...]
    dense: int
    sparse: int
    finetune: int


STRENGTH = 0.1
"""For the comparison of groupings: loss units per effective row or column."""

NETWORKS = (
    Network("lenet-300-100", 266_200, 54, 98.2, 7e-5, (0.03, 0.1, 0.15), dense=10, sparse=80, finetune=15),
    Network("lenet5", 430_500, 122, 99.2, 5e-5, (0.05, 0.15), dense=4, sparse=20, finetune=6),
)


def mnist(evidence: Evidence, network: Network) -> None:
    """Run the three stages; the sparsest cut within 0.3 points of dense on 5,000 training images counts."""
    task = tasks.load("mnist")
    generator = torch.Generator().manual_seed(evidence.seed)
    x, y = task.train.tensors
    order = torch.randperm(len(x), generator=generator)
    kept, held = order[5000:], order[:5000]
    data = Split(x[kept], y[kept], x[held], y[held])
    torch.manual_seed(evidence.seed)
    dense = zoo.build(network.name, classes=10, input_shape=task.input_shape)
    dense = dense.to(memory_format=torch.channels_last)
    train(dense, data, epochs=network.dense, generator=generator)
    bar, dense_accuracy = data.accuracy(dense) - 0.3, 100 * task.evaluate(dense)
    model = copy.deepcopy(dense)
    train(model, data, epochs=network.sparse, generator=generator, penalty=HoyerSquare(network.strength))
    chosen: tuple[int, nn.Module] | None = None
    for deviations in network.deviations:
        pruned = copy.deepcopy(model)
        left = prune(pruned, data, deviations=deviations, epochs=network.finetune, generator=generator)
        reached = data.accuracy(pruned)
        evidence.row(
            f"MNIST {network.name}, cut at {deviations} deviations, {left} non-zeros: validation accuracy",
            reference=f"{bar:.2f} to be chosen",
            got=reached,
            holds=None,
        )
        if chosen is None or (reached >= bar and left < chosen[0]):
            chosen = left, pruned
    left, pruned = chosen
    epochs = f"{network.dense}+{network.sparse}+{network.finetune} epochs, strength {network.strength:g}"
    fewer, accuracy = network.weights / left, 100 * task.evaluate(pruned)
    evidence.row(
        f"MNIST {network.name}: times fewer non-zeros ({epochs})",
        reference=f"{network.fewer} in the paper",
        got=fewer,
        holds=fewer >= network.fewer,
    )
    evidence.row(
        f"MNIST {network.name}: test accuracy there (dense {dense_accuracy:.2f})",
        reference=f"{network.accuracy} in the paper",
        got=accuracy,
        holds=accuracy >= network.accuracy,
    )


def channels(evidence: Evidence) -> None:
    """Cut a CNN of three convolutions to a third of its multiply-adds after training with Group-HS."""
    task = tasks.load("fashion-mnist", train_size=20_000)
    x = task.test.tensors[0][:64]
    torch.manual_seed(evidence.seed)
    dense = zoo.build("small-cnn", classes=10, input_shape=task.input_shape, width=0.5)
    _fit(dense, task, 10)
    before = 100 * task.evaluate(dense)
    graph, budget = ns.trace(dense, x), ns.Budget(macs=1 / 3)
    sparse = copy.deepcopy(dense)
    penalty = GroupHoyerSquare(graph, strength=1e-3)
    _fit(sparse, task, 10, penalty, Ramp(penalty, graph, budget))
    small = ns.shrink(sparse, x, budget=budget, score=trimming)
    sparse.eval(), small.eval()
    kept = _kept(ns.records(small)[0], graph)
    with torch.no_grad():
        gap = float((run_masked(sparse, x, ns.trace(sparse, x), kept) - small(x)).abs().max())
    evidence.row(
        "4: largest gap between the small and the masked network",
        reference="<= 1e-5",
        got=gap,
        holds=gap <= 1e-5,
    )
    _fit(small, task, 5)
    fewer = ns.profile(dense, x).total["macs"] / ns.profile(small, x).total["macs"]
    lost = before - 100 * task.evaluate(small)
    evidence.row("4: times fewer multiply-adds", reference=">= 3", got=fewer, holds=fewer >= 3)
    evidence.row(
        f"4: points of test accuracy lost (dense {before:.2f})", reference="<= 1", got=lost, holds=lost <= 1
    )
    groupings(evidence, task, dense)


def groupings(evidence: Evidence, task: Task, dense: nn.Module) -> None:
    """Compare the paper's two-way grouping with output channels only, at one strength."""
    pairs = {}
    for dims in (("out", "in"), ("out",)):
        model = copy.deepcopy(dense)
        _fit(model, task, 10, GroupHoyerSquare(strength=STRENGTH, dims=dims))
        pairs[dims] = _live_pairs(model)
        evidence.row(
            f"4: live in x out pairs, grouped by {' and '.join(dims)} at {STRENGTH:g}: test accuracy",
            reference="-",
            got=100 * task.evaluate(model),
            holds=None,
        )
    evidence.row(
        "4: live in x out pairs with both groupings",
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


def _fit(
    model: nn.Module,
    task: Task,
    epochs: int,
    penalty: GroupHoyerSquare | None = None,
    after_step: Callable[..., None] | None = None,
) -> None:
    schedule = "cosine" if penalty is None else "constant"
    fit(
        model, task.train, epochs=epochs, penalty=penalty, after_step=after_step, schedule=schedule,
        augment=task.augment, progress=False,
    )  # fmt: skip
