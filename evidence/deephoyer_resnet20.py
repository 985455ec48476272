"""Does Group-HS beat magnitude on ResNet-20 at 30 % of the MACs, at equal epochs and from equal weights?

For each data set and seed one dense network is trained, and both recipes start from it with their default
settings. Every network sees the first 20,000 training images, in bfloat16; the full tier takes about half an
hour on two cores, two networks at a time.
"""

from __future__ import annotations

import copy
import multiprocessing
import statistics
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import nn

import netsmith as ns
from common import Evidence
from netsmith.cost import Budget, Cost
from netsmith.recipes.deephoyer import deephoyer
from netsmith.recipes.job import Job
from netsmith.recipes.magnitude import magnitude
from netsmith.tasks import Task

BUDGET = Budget(macs=0.3)
METHODS = {"group-hs": deephoyer, "magnitude": magnitude}


class Trial(NamedTuple):
    """One data set and seed: a dense network, and every method from it."""

    data: str
    seed: int
    train_size: int
    test_size: int | None
    dense_epochs: int
    epochs: int


def fit(model: nn.Module, task: Task, seed: int, *, epochs: int, stage: str = "", **settings: Any) -> Any:
    return ns.train.fit(
        model,
        task.train,
        epochs=epochs,
        seed=seed,
        augment=task.augment,
        precision="bf16",
        progress=False,
        **settings,
    )


def run(trial: Trial) -> dict[str, tuple[float, float]]:
    """Return, for the dense network and each method, accuracy in percent and the share of MACs."""
    torch.set_num_threads(1)
    task = ns.tasks.load(trial.data, train_size=trial.train_size, test_size=trial.test_size)
    torch.manual_seed(trial.seed)
    model = ns.zoo.build("resnet20", classes=task.classes, input_shape=task.input_shape)
    fit(model, task, trial.seed, epochs=trial.dense_epochs)
    inputs = task.test.tensors[0][:1]
    whole = Cost(ns.trace(model, inputs)).total()["macs"]
    found = {"dense": (100 * task.evaluate(model), 1.0)}
    for name, recipe in METHODS.items():
        job = Job(
            model=copy.deepcopy(model),
            inputs=inputs,
            task=task,
            budget=BUDGET,
            epochs=trial.epochs,
            seed=trial.seed,
            fit=lambda network, **settings: fit(network, task, trial.seed, **settings),
        )
        small = recipe(job)
        found[name] = (100 * task.evaluate(small), Cost(ns.trace(small, inputs)).total()["macs"] / whole)
    return found


def report(
    evidence: Evidence, data: str, trials: list[Trial], found: list[dict[str, tuple[float, float]]]
) -> None:
    accuracy = defaultdict(list)
    for one in found:
        for name, (reached, _) in one.items():
            accuracy[name].append(reached)
    shares = [share for one in found for name, (_, share) in one.items() if name != "dense"]
    spread = {name: _spread(values) for name, values in accuracy.items()}
    first = trials[0]
    trained = (
        f"{first.train_size} images, {first.dense_epochs} dense + {first.epochs} epochs, {len(found)} seeds"
    )
    evidence.row(
        f"{data}: largest share of MACs", reference="<= 0.3", got=max(shares), holds=max(shares) <= 0.3
    )
    evidence.row(f"{data}: dense accuracy ({trained})", reference="-", got=spread["dense"], holds=None)
    ahead = statistics.mean(accuracy["group-hs"]) - statistics.mean(accuracy["magnitude"])
    evidence.row(
        f"{data}: accuracy of Group-HS at 30 % MACs",
        reference=f"above magnitude's {spread['magnitude']}",
        got=spread["group-hs"],
        holds=ahead > 0 if evidence.full else None,
    )


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f} %"


def main() -> int:
    with Evidence("deephoyer-resnet20") as evidence:
        if evidence.full:
            seeds = range(evidence.seed, evidence.seed + 3)
            trials = [
                Trial(d, s, 20_000, None, 5, 6) for s in seeds for d in ("fashion-mnist", "cifar10-jpeg")
            ]
        else:
            trials = [Trial("fashion-mnist", evidence.seed, 600, 500, 1, 2)]
        with ProcessPoolExecutor(min(2, len(trials)), multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(run, trials))
        for data in dict.fromkeys(trial.data for trial in trials):
            mine = [i for i, trial in enumerate(trials) if trial.data == data]
            report(evidence, data, [trials[i] for i in mine], [found[i] for i in mine])
    return evidence.status


if __name__ == "__main__":
    sys.exit(main())
