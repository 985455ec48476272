"""What the search finds on the digits: MACs, accuracy beside a uniform network, a planted useless layer."""

from __future__ import annotations

import copy
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import netsmith as ns
from common import Evidence
from netsmith import tasks, zoo
from netsmith.searches import Alternation, TransformableSearch, halves
from netsmith.tasks import Task
from netsmith.train import default_optimizer, fit
from netsmith.training.reinitialise import reinitialise_

SEARCH, TRAIN = 20, 12
"""Epochs of a search, and of every network that is trained."""
ARMS = ("searched + teacher", "uniform + teacher", "searched alone")


def searches(evidence: Evidence) -> None:
    """Search a network of three convolutions with five seeds, train what three of them found."""
    task = tasks.load("digits")
    x = task.example()
    shares, likeliest, accuracy = [], [], {arm: [] for arm in ARMS}
    for seed in range(evidence.seed, evidence.seed + 5):
        torch.manual_seed(seed)
        dense = zoo.build("small-cnn", classes=10, input_shape=task.input_shape, width=0.5)
        full = ns.profile(dense, x).total["macs"]
        search = searched(dense, x, ns.Budget(macs=0.5), task.train, task, seed)
        shares.append(100 * search.architecture().cost["macs"] / full)
        likeliest.append(100 * search.architecture(within_budget=False).cost["macs"] / full)
        if len(shares) <= 3:
            small = search.build()
            train(dense, task, seed)
            for arm, value in arms(small, dense, task, x, seed).items():
                accuracy[arm].append(value)
    for claim, values in (
        ("networks read out with 45 to 50 % of the MACs (asked: 50 %)", shares),
        ("the same, most probable networks as they are", likeliest),
    ):
        inside = sum(45 <= value <= 50 for value in values)
        found = ", ".join(f"{value:.1f}" for value in values)
        evidence.row(f"{claim}, of 5 seeds: {found}", reference="5 of 5", got=inside, holds=inside == 5)
    report(evidence, accuracy)


def report(evidence: Evidence, accuracy: dict[str, list[float]]) -> None:
    for arm, values in accuracy.items():
        evidence.row(
            f"{arm}: test accuracy in %, mean of 3 seeds ({TRAIN} epochs, std {stdev(values):.2f})",
            reference="-",
            got=mean(values),
            holds=None,
        )
    first, second = mean(accuracy[ARMS[0]]), mean(accuracy[ARMS[1]])
    evidence.row(
        "points of searched + teacher above uniform + teacher at equal MACs",
        reference=">= -0.2",
        got=first - second,
        holds=first - second >= -0.2,
    )


def searched(
    model: nn.Module, x: Tensor, budget: ns.Budget, data: Dataset[Any], task: Task, seed: int
) -> TransformableSearch:
    """Return a search after its epochs, the rate of the logits as the recipe takes it."""
    search = TransformableSearch(model, x, budget=budget, depth=False)
    pairs = halves(data, seed)
    rate = 20 / (SEARCH * (len(pairs) // 32))
    steps = Alternation(search, task.batch_loss, learning_rate=rate)
    fit(
        search, pairs, loss=steps.loss, after_step=steps.after_step, epochs=SEARCH, batch_size=32,
        optimizer=default_optimizer(search.network), seed=seed, progress=False,
    )  # fmt: skip
    return search


def arms(small: nn.Module, dense: nn.Module, task: Task, x: Tensor, seed: int) -> dict[str, float]:
    """Return the accuracy of each arm, all from new weights, with equal epochs and data order."""
    macs = ns.profile(small, x).total["macs"]
    uniform = ns.shrink(dense, x, budget=ns.Budget(macs=macs), scope="local")
    teacher = ns.distill(dense, temperature=4.0, share=0.9)
    found = {}
    for arm, model, loss in (
        (ARMS[0], small, teacher),
        (ARMS[1], uniform, teacher),
        (ARMS[2], small, None),
    ):
        model = copy.deepcopy(model)
        reinitialise_(model, seed)
        train(model, task, seed, loss)
        found[arm] = 100 * task.evaluate(model)
    return found


def train(model: nn.Module, task: Task, seed: int, loss: Any = None) -> None:
    fit(model, task.train, loss=loss, epochs=TRAIN, batch_size=32, seed=seed, progress=False)


class TwoPaths(nn.Module):
    """One path sees the image, the other noise; the classifier reads both."""

    def __init__(self) -> None:
        super().__init__()
        self.useful, self.useless = (self._path() for _ in range(2))
        self.head = nn.Linear(128, 10)

    @staticmethod
    def _path() -> nn.Sequential:
        convolution = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        return nn.Sequential(
            convolution, nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the image in the first channel."""
        return self.head(torch.cat([self.useful(x[:, :1]), self.useless(x[:, 1:])], dim=1))


def planted(evidence: Evidence) -> None:
    """Give a layer nothing but noise; the labels do not depend on it."""
    task = tasks.load("digits")
    assert isinstance(task.train, TensorDataset)
    images, labels = task.train.tensors
    widths = []
    for seed in range(evidence.seed, evidence.seed + 3):
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
        data = TensorDataset(torch.cat([images, noise], dim=1), labels)
        torch.manual_seed(seed)
        search = searched(TwoPaths(), data.tensors[0][:1], ns.Budget(macs=0.65), data, task, seed)
        likeliest, found = search.architecture(within_budget=False), search.architecture()
        widths.append([one.widths["useless.0.weight:0"] for one in (likeliest, found)])
    for place, what in enumerate(("the most probable network", "the network read out")):
        got = [pair[place] for pair in widths]
        evidence.row(
            f"width of a layer that sees noise alone, of 16, in {what}, 3 seeds (MACs 65 %)",
            reference="the smallest, 4, each time",
            got=", ".join(map(str, got)),
            holds=set(got) == {4},
        )
