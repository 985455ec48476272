"""Why does information gain end behind magnitude at 40 %: the channels it picks, or how many of which layer?

Check 3 of HFP, taken apart. A ranking over all layers decides two things at once: how many channels each
layer gives, and which. So gain and magnitude are tried both ways, ranked over all layers and with the same
share taken from each layer, where only the choice of channels differs; and accuracies straight after the cut
and after fine-tuning tell what a score sees from what training brings back. Fashion-MNIST, the small CNN at
half width, 40 % of the MACs: widths are not rounded to a kernel's blocks, as they are by latency. The quick
tier shows that the arms run, on 100 images.
"""

from __future__ import annotations

import statistics
import sys

import torch
from torch import Tensor, nn

from common import Evidence
from netsmith import tasks
from netsmith.contracts import Loss, Score
from netsmith.cost import Budget
from netsmith.cutting.shrink import shrink
from netsmith.graph import StructureGraph
from netsmith.recipes.opti_cut import OptiCut
from netsmith.scores.information_gain import InformationGain
from netsmith.scores.magnitude import magnitude
from netsmith.scores.random import Random
from netsmith.tasks.task import Task
from netsmith.train import fit
from netsmith.zoo.small_cnn import small_cnn

BUDGET = Budget(macs=0.4)
CHUNK = 0.7


class Relative:
    """A score divided by its mean over each group, as magnitude is."""

    def __init__(self, score: Score) -> None:
        self.score = score

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return the scores with mean 1 in every group."""
        return {name: one / one.mean() for name, one in self.score(model, loss, graph).items()}


def main() -> int:
    torch.set_num_threads(1)
    with Evidence("hfp-allocation") as evidence:
        if evidence.full:
            allocation(evidence, images=2000, seeds=4)
        else:
            allocation(evidence, images=100, seeds=1)
    return evidence.status


def allocation(evidence: Evidence, images: int, seeds: int) -> None:
    """Record both accuracies and the widths of every arm, and judge information gain by magnitude."""
    task = tasks.load("fashion-mnist", train_size=images, test_size=2000 if evidence.full else 200)
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    widths: dict[str, list[list[int]]] = {}
    for seed in range(evidence.seed, evidence.seed + seeds):
        torch.manual_seed(seed)
        dense = small_cnn(width=0.5)
        learn(dense, task, seed, epochs=4)
        note(before, "dense", task, dense)
        for name, model in cuts(dense, task, seed, evidence.full).items():
            note(before, name, task, model)
            widths.setdefault(name, []).append(widths_of(model))
            learn(model, task, seed + 1, epochs=3, rate=0.02)
            note(after, name, task, model)
    how = f"3: {images} images, half width, 40% of the MACs, {seeds} seeds"
    evidence.row(
        f"{how}: dense accuracy, 4 epochs, %", reference="-", got=spread(before["dense"]), holds=None
    )
    for name, values in after.items():
        mean = [round(statistics.mean(one)) for one in zip(*widths[name], strict=True)]
        got = f"{spread(before[name])} and {spread(values)}, widths {mean}"
        claim = f"{how}: {name}: accuracy straight after the cut and after 3 epochs more, %"
        evidence.row(claim, reference="-", got=got, holds=None)
    pairs = [("gain", "over all layers"), ("gain", "each layer alike"), ("gain per MAC", "over all layers")]
    for score, kind in pairs:
        for what, seen in (("straight after the cut", before), ("after fine-tuning", after)):
            if f"{score}, {kind}" in seen:
                claim = f"{how}: {score} minus magnitude, {kind}, {what}, points"
                compare(evidence, claim, seen[f"{score}, {kind}"], seen[f"magnitude, {kind}"])


def cuts(dense: nn.Module, task: Task, seed: int, every: bool) -> dict[str, nn.Module]:
    """Return the network cut in every way, or only in those compared, before any training."""
    inputs = torch.zeros(1, *task.input_shape)
    gain = InformationGain(task.train.tensors[0][:256], temperature=2.0)

    def opti(score: Score, *, per_cost: bool = False) -> nn.Module:
        return OptiCut(inputs=inputs, budget=BUDGET, score=score, chunk=CHUNK, per_cost=per_cost)(dense)

    def alike(score: Score) -> nn.Module:
        return shrink(dense, inputs, budget=BUDGET, score=score, scope="local", verify=False)

    found = {
        "gain, over all layers": opti(gain),
        "magnitude, over all layers": opti(magnitude),
        "gain, each layer alike": alike(gain),
        "magnitude, each layer alike": alike(magnitude),
    }
    if every:
        found["gain per MAC, over all layers"] = opti(gain, per_cost=True)
        found["gain relative to its layer, over all layers"] = opti(Relative(gain))
        found["random, each layer alike"] = alike(Random(torch.Generator().manual_seed(seed)))
    return found


def learn(model: nn.Module, task: Task, seed: int, *, epochs: int, rate: float | None = None) -> None:
    fit(model, task.train, epochs=epochs, learning_rate=rate, seed=seed, precision="bf16", progress=False)


def note(seen: dict[str, list[float]], name: str, task: Task, model: nn.Module) -> None:
    seen.setdefault(name, []).append(100 * task.evaluate(model))


def widths_of(model: nn.Module) -> list[int]:
    return [len(parameter) for parameter in model.parameters() if parameter.dim() == 4]


def compare(evidence: Evidence, claim: str, gain: list[float], norm: list[float]) -> None:
    """Record the mean paired difference with its standard error."""
    differences = [one - two for one, two in zip(gain, norm, strict=True)]
    mean = statistics.mean(differences)
    error = deviation(differences) / len(differences) ** 0.5
    holds = mean >= 0 if evidence.full else None
    evidence.row(claim, reference=">= 0", got=f"{mean:+.2f} +- {error:.2f}", holds=holds)


def deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} +- {deviation(values):.2f}"


if __name__ == "__main__":
    sys.exit(main())
