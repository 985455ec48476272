"""Does Group-HS beat magnitude on ResNet-20 at 30 % of the MACs, at equal epochs and from equal weights?

For each data set and seed one dense network is trained, and both recipes start from it. The full tier takes
about an hour on two cores: every network sees the first 20,000 training images, in bfloat16.
"""

from __future__ import annotations

import copy
import statistics
import sys
from functools import partial
from typing import Any

import torch
from common import Evidence
from torch import nn

import netsmith as ns
from netsmith.cost import Budget, Cost
from netsmith.recipes.deephoyer import deephoyer
from netsmith.recipes.job import Job
from netsmith.recipes.magnitude import magnitude
from netsmith.tasks import Task

TRAIN_SIZE, DENSE_EPOCHS, EPOCHS, SEEDS = 20_000, 6, 8, 3
BUDGET = Budget(macs=0.3)
# The strength was chosen on images 50,000 onwards of Fashion-MNIST's training set, never on test images.
METHODS = {"group-hs": (deephoyer, {"strength": 1e-3}), "magnitude": (magnitude, {})}


def dense(task: Task, seed: int, epochs: int) -> nn.Module:
    torch.manual_seed(seed)
    model = ns.zoo.build("resnet20", classes=task.classes, input_shape=task.input_shape)
    fit(model, task, seed, epochs=epochs)
    return model


def fit(model: nn.Module, task: Task, seed: int, *, epochs: int, stage: str = "", **settings: Any) -> Any:
    return ns.train.fit(
        model, task.train, epochs=epochs, seed=seed, augment=task.augment, precision="bf16",
        progress=False, **settings,
    )  # fmt: skip


def shaped(method: str, model: nn.Module, task: Task, seed: int, epochs: int) -> tuple[float, float]:
    """Return accuracy in percent and the share of MACs left after a recipe."""
    recipe, options = METHODS[method]
    x = task.test.tensors[0][:1]
    before = Cost(ns.trace(model, x)).total()["macs"]
    job = Job(
        model=copy.deepcopy(model), inputs=x, task=task, budget=BUDGET, epochs=epochs, seed=seed,
        fit=lambda m, **settings: fit(m, task, seed, **settings), options=dict(options),
    )  # fmt: skip
    small = recipe(job)
    return 100 * task.evaluate(small), Cost(ns.trace(small, x)).total()["macs"] / before


def duel(evidence: Evidence, data: str, train_size: int, epochs: tuple[int, int], seeds: int) -> None:
    load = partial(ns.tasks.load, data, train_size=train_size)
    task = load() if evidence.full else load(test_size=1000)
    accuracy: dict[str, list[float]] = {"dense": [], **{name: [] for name in METHODS}}
    for seed in range(evidence.seed, evidence.seed + seeds):
        model = dense(task, seed, epochs[0])
        accuracy["dense"].append(100 * task.evaluate(model))
        for method in METHODS:
            reached, share = shaped(method, model, task, seed, epochs[1])
            accuracy[method].append(reached)
            evidence.row(
                f"{data}, seed {seed}: {method}, share of MACs", reference="<= 0.3", got=share, holds=share <= 0.3
            )
    text = {name: _spread(values) for name, values in accuracy.items()}
    trained = f"{train_size} images, {epochs[0]} dense + {epochs[1]} epochs, {seeds} seeds"
    ahead = statistics.mean(accuracy["group-hs"]) - statistics.mean(accuracy["magnitude"])
    evidence.row(f"{data}: dense accuracy ({trained})", reference="-", got=text["dense"], holds=None)
    evidence.row(
        f"{data}: Group-HS at 30 % MACs against magnitude {text['magnitude']}",
        reference="above magnitude",
        got=text["group-hs"],
        holds=ahead > 0 if evidence.full else None,
    )


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f} %"


def main() -> int:
    with Evidence("deephoyer-resnet20") as evidence:
        if evidence.full:
            for data in ("fashion-mnist", "cifar10-jpeg"):
                duel(evidence, data, TRAIN_SIZE, (DENSE_EPOCHS, EPOCHS), SEEDS)
        else:
            duel(evidence, "fashion-mnist", 600, (1, 2), 1)
    return evidence.status


if __name__ == "__main__":
    sys.exit(main())
