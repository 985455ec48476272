"""Check 4 of the sparsity survey: criteria on a digits network of 50,200 weights, and small dense ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from common import Evidence
from netsmith.clock import Clock
from netsmith.masks import hold
from netsmith.sparsity import (
    GradualPruning,
    Point,
    SparseTraining,
    erdos_renyi_kernel,
    global_masks,
    layer_masks,
    magnitudes,
    obd_elements,
    pruned_parameter_efficiency,
    snip_elements,
    taylor_elements,
)

SPARSITIES = (0.90, 0.95, 0.98, 0.99)
SEEDS = 3
EPOCHS = 10  # before the cut, and again after it; networks that are sparse from the start take both at once
WEIGHTS = 64 * 300 + 300 * 100 + 100 * 10
REFERENCE = {
    ("magnitude", 0.95): 97.4, ("random", 0.95): 75.7, ("magnitude", 0.98): 96.5, ("random", 0.98): 26.8,
    ("magnitude", 0.99): 92.5, ("dense", 0.95): 97.5, ("dense", 0.98): 96.7, ("dense", 0.99): 91.1,
}  # fmt: skip
AFTER = {"random", "magnitude", "Taylor", "OBD"}
Data = tuple[Tensor, Tensor, Tensor, Tensor]


def table(evidence: Evidence) -> None:
    """Record every cell of the table, what magnitude wins over random, and pruned parameter efficiency."""
    accuracies: dict[tuple[str, float], list[float]] = {}
    for seed in range(evidence.seed, evidence.seed + SEEDS):
        data = load(seed)
        torch.manual_seed(seed)
        initial = network(300, 100)
        trained = copy.deepcopy(initial)
        train(trained, data, seed, EPOCHS)
        accuracies.setdefault(("dense, all weights", 0.0), []).append(accuracy(trained, data))
        for sparsity in SPARSITIES:
            for name in (*sorted(AFTER), "SNIP", "RigL", "dense"):
                model = one(name, sparsity, initial, trained, data, seed)
                accuracies.setdefault((name, sparsity), []).append(accuracy(model, data))
    for (name, sparsity), values in accuracies.items():
        kept = round((1 - sparsity) * WEIGHTS)
        evidence.row(
            f"digits, {name}, {kept} weights ({sparsity:.0%} zeros): test accuracy, {SEEDS} seeds, "
            f"{2 * EPOCHS} epochs in all",
            reference=REFERENCE.get((name, sparsity), "-"),
            got=f"{mean(values):.1f} ± {stdev(values):.1f}",
            holds=None,
        )
    means = {cell: mean(values) for cell, values in accuracies.items()}
    gap = means["magnitude", 0.95] - means["random", 0.95]
    evidence.row(
        "points by which magnitude beats random at 95 %", reference=">= 10", got=gap, holds=gap >= 10
    )
    curves = {
        name: [Point(round((1 - s) * WEIGHTS), means[name, s]) for s in SPARSITIES]
        for name in ("magnitude", "RigL", "dense")
    }
    for name in ("magnitude", "RigL"):
        found = pruned_parameter_efficiency(curves[name], curves["dense"])
        evidence.row(
            f"pruned parameter efficiency of {name} at 90, 95, 98, 99 %: points over the dense one "
            "(which has up to 3 % more weights)",
            reference="95, 98 %: -0.1, -0.2" if name == "magnitude" else "-",
            got=", ".join(f"{value:+.1f}" for value in found),
            holds=None,
        )


def one(
    name: str, sparsity: float, initial: nn.Module, trained: nn.Module, data: Data, seed: int
) -> nn.Module:
    """Return a network of one cell, trained."""
    if name == "dense":
        torch.manual_seed(seed)
        model: nn.Module = network(round((1 - sparsity) * WEIGHTS / 74))
        train(model, data, seed, 2 * EPOCHS)
        return model
    model = copy.deepcopy(trained if name in AFTER else initial)
    if name == "RigL":
        shapes = {weight: score.shape for weight, score in magnitudes(model).items()}
        drawn = {weight: torch.rand(shape) for weight, shape in shapes.items()}
        masks = layer_masks(drawn, erdos_renyi_kernel(shapes, 1 - sparsity))
        train(model, data, seed, 2 * EPOCHS, rigl=masks)
        return model
    masks = global_masks(scores(name, model, data), 1 - sparsity)
    train(model, data, seed, EPOCHS if name in AFTER else 2 * EPOCHS, masks=masks)
    return model


def scores(name: str, model: nn.Module, data: Data) -> dict[str, Tensor]:
    def loss(model: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(model(data[0]), data[1])

    criteria: dict[str, Callable[[], dict[str, Tensor]]] = {
        "random": lambda: {weight: torch.rand(score.shape) for weight, score in magnitudes(model).items()},
        "magnitude": lambda: magnitudes(model),
        "Taylor": lambda: taylor_elements(model, loss),
        "OBD": lambda: obd_elements(model, loss, draws=16),
        "SNIP": lambda: snip_elements(model, loss),
    }
    return criteria[name]()


def train(
    model: nn.Module,
    data: Data,
    seed: int,
    epochs: int,
    *,
    masks: dict[str, Tensor] | None = None,
    rigl: dict[str, Tensor] | None = None,
    gradual: GradualPruning | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """Plain loop: Adam unless another is given, cosine schedule, batches of 64."""
    x, y = data[:2]
    generator = torch.Generator().manual_seed(seed)
    if optimizer is None:
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    per_epoch = -(-len(x) // 64)
    keeping: Any = gradual
    if masks is not None:
        keeping = hold(model, masks)
    elif rigl is not None:
        keeping = SparseTraining(model, rigl, every=20, optimizer=optimizer)
    with keeping or nullcontext():
        for epoch in range(epochs):
            for number, index in enumerate(torch.randperm(len(x), generator=generator).split(64), 1):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[index]), y[index]).backward()
                optimizer.step()
                if keeping is not None:
                    keeping(model, Clock(epoch * per_epoch + number, per_epoch, epochs))
            schedule.step()


def network(*widths: int) -> nn.Sequential:
    sizes = [64, *widths, 10]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def accuracy(model: nn.Module, data: Data) -> float:
    with torch.no_grad():
        return 100 * float((model(data[2]).argmax(1) == data[3]).float().mean())


def load(seed: int) -> Data:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=seed, stratify=labels)
    x, test_x, y, test_y = (torch.tensor(part) for part in parts)
    return x.float(), y, test_x.float(), test_y
