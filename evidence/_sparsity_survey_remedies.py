"""Why magnitude falls behind its references in check 4 of the sparsity survey, and what brings it back.

The table of ``_sparsity_survey_digits`` trains for 10 + 10 epochs with Adam and no weight decay. Weights that
the network never uses then keep the values they were drawn with, and a layer drawn with small values (the
middle one) loses nearly all of its weights to a global ranking. Three remedies, alone and together: densities
by layer (Erdos-Renyi), the gradual cubic schedule, and a dense network trained until magnitudes say something
(60 epochs, SGD with weight decay 5e-4, then 20 after the cut).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from statistics import mean, stdev
from typing import NamedTuple

import torch
from torch import Tensor, nn

from _sparsity_survey_digits import REFERENCE, SEEDS, WEIGHTS, Data, accuracy, load, network, train
from common import Evidence
from netsmith.sparsity import GradualPruning, cubic, erdos_renyi, global_masks, layer_masks, magnitudes

SPARSITIES = (0.95, 0.98, 0.99)


class Training(NamedTuple):
    """How long the dense network trains, how long what is left of it, and with which optimiser."""

    name: str
    before: int
    after: int
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]


TRAININGS = (
    Training("Adam", 10, 10, lambda model: torch.optim.Adam(model.parameters(), lr=2e-3)),
    Training("Adam", 60, 20, lambda model: torch.optim.Adam(model.parameters(), lr=2e-3)),
    Training(
        "SGD, decay 5e-4",
        60,
        20,
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4),
    ),
)


def remedies(evidence: Evidence) -> None:
    """Record accuracy by training, way to cut and sparsity; judge the training of the references' kind."""
    for training in TRAININGS:
        cells: dict[tuple[str, float], list[float]] = {}
        smallest: dict[float, list[int]] = {sparsity: [] for sparsity in SPARSITIES}
        for seed in range(evidence.seed, evidence.seed + SEEDS):
            data = load(seed)
            torch.manual_seed(seed)
            dense = network(300, 100)
            train(dense, data, seed, training.before, optimizer=training.optimizer(dense))
            cells.setdefault(("dense, all weights", 0.0), []).append(accuracy(dense, data))
            for sparsity in SPARSITIES:
                masks = global_masks(magnitudes(dense), 1 - sparsity)
                smallest[sparsity].append(int(masks["2.weight"].sum()))
                for name, model in cut(dense, training, sparsity, data, seed).items():
                    cells.setdefault((name, sparsity), []).append(accuracy(model, data))
        report(evidence, training, cells, smallest)


def cut(dense: nn.Module, training: Training, sparsity: float, data: Data, seed: int) -> dict[str, nn.Module]:
    """Return the network sparse in each of the ways, and small dense ones of equal weights, all trained."""
    scores = magnitudes(dense)
    shapes = {name: score.shape for name, score in scores.items()}
    drawn = {name: torch.rand(shape) for name, shape in shapes.items()}
    kept = 1 - sparsity
    found = {
        "magnitude": retrained(dense, training, data, seed, global_masks(scores, kept)),
        "magnitude, layers by Erdos-Renyi": retrained(
            dense, training, data, seed, layer_masks(scores, erdos_renyi(shapes, kept))
        ),
        "random": retrained(dense, training, data, seed, global_masks(drawn, kept)),
    }
    gradual = copy.deepcopy(dense)
    pruning = GradualPruning(gradual, partial(cubic, final=sparsity, end=0.5), every=8)
    train(gradual, data, seed, training.after, gradual=pruning, optimizer=training.optimizer(gradual))
    torch.manual_seed(seed)
    small = network(round(kept * WEIGHTS / 74))
    train(small, data, seed, training.before + training.after, optimizer=training.optimizer(small))
    return {**found, "magnitude, gradual": gradual, "dense": small}


def retrained(
    dense: nn.Module, training: Training, data: Data, seed: int, masks: dict[str, Tensor]
) -> nn.Module:
    model = copy.deepcopy(dense)
    train(model, data, seed, training.after, masks=masks, optimizer=training.optimizer(model))
    return model


def report(
    evidence: Evidence,
    training: Training,
    cells: dict[tuple[str, float], list[float]],
    smallest: dict[float, list[int]],
) -> None:
    how = f"digits, {training.before} + {training.after} epochs, {training.name}, {SEEDS} seeds"
    for sparsity, counts in smallest.items():
        evidence.row(
            f"{how}: weights a global ranking leaves of 30,000 in the middle layer, {sparsity:.0%} zeros",
            reference="-",
            got=f"{mean(counts):.0f}",
            holds=None,
        )
    for (name, sparsity), values in cells.items():
        reference = REFERENCE.get((name, sparsity))
        # Only a training of the references' kind is judged by them.
        judged = name == "magnitude" and reference is not None and "decay" in training.name
        evidence.row(
            f"{how}: {name}, {sparsity:.0%} zeros, test accuracy",
            reference="-" if reference is None else reference,
            got=f"{mean(values):.1f} ± {stdev(values):.1f}",
            holds=mean(values) >= reference if judged else None,
        )
    gap = mean(cells["magnitude", 0.95]) - mean(cells["random", 0.95])
    evidence.row(
        f"{how}: points by which magnitude beats random at 95 %",
        reference=">= 10",
        got=gap,
        holds=gap >= 10,
    )
