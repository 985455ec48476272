"""Check 4 of structured projections on the paper's kinds of network: fully connected, linear, convolutional.

MNIST. For every ball the radius is bisected, as a share of each constrained layer's norm, to the smallest
with which validation accuracy stays within a point of the dense network's; what has died is then removed for
real. Groups are what one input feature or channel feeds (axis ``"in"``), so that a dead group is a neuron
or filter of the layer before that nothing reads, which goes without changing the output.

MACs are of the network that is left, run dense. In a fully connected network the weights left are also the
MACs of a kernel that skips zeros, the count by which the paper's l1,1 comes out best.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn

import netsmith as ns
from _structured_projections_digits import BALLS, Data, accuracy, spread, train
from common import Evidence
from netsmith.drivers import mask_and_retrain, project_
from netsmith.projections import L11Ball, NuclearBall


class Network(NamedTuple):
    """A network, how many images it learns from, and which of its weights are constrained."""

    name: str
    build: Callable[[], nn.Module]
    images: int
    seeds: int
    constrained: tuple[str, ...]
    """Modules, the first one being the one whose zeros are told."""


def linear() -> nn.Module:
    """Return the fully connected network without activations."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.Linear(300, 100), nn.Linear(100, 10))


def zoo(name: str) -> nn.Module:
    return ns.zoo.build(name, classes=10, input_shape=(1, 28, 28))


NETWORKS = (
    Network("LeNet-300-100", lambda: zoo("lenet-300-100"), 4000, 2, ("linear1", "linear2")),
    Network("linear 300-100", linear, 4000, 2, ("1", "2")),
    Network("LeNet-5", lambda: zoo("lenet5"), 2000, 1, ("conv2", "linear1")),
)
EPOCHS = 5
CHOOSE = 3000
TEST = 5000
TRIALS = 4
EXAMPLE = torch.zeros(1, 1, 28, 28)
Arm = Callable[[nn.Module, float], nn.Module]


def networks(evidence: Evidence) -> None:
    for network in NETWORKS:
        found = [one_seed(network, evidence.seed + run) for run in range(network.seeds)]
        report(evidence, network, found)


def load(network: Network, seed: int) -> Data:
    """Return images to train on, others of the training set to choose by, and test images."""
    task = ns.tasks.load("mnist", train_size=network.images + CHOOSE, test_size=TEST)
    x, y = task.train.tensors
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    choose, rest = order[:CHOOSE], order[CHOOSE:]
    return {"train": (x[rest], y[rest]), "choose": (x[choose], y[choose]), "test": task.test.tensors}


def one_seed(network: Network, seed: int) -> dict[str, dict[str, float]]:
    data = load(network, seed)
    torch.manual_seed(seed)
    dense = network.build()
    initial = copy.deepcopy(dense.state_dict())
    fit = functools.partial(train, data=data, seed=seed, epochs=EPOCHS)
    fit(dense, None)
    results = {"dense": measured(dense, network, data)}
    bar = results["dense"]["choose"] - 0.01
    for name, arm in arms(network, fit, initial).items():
        low, high = 0.02, 0.6
        for _ in range(TRIALS):
            share = math.sqrt(low * high)
            got = measured(arm(dense, share), network, data, factored="nuclear" in name)
            if got["choose"] >= bar:
                results[name], high = got, share
            else:
                low = share
        results.setdefault(name, got)
    return results


def arms(network: Network, fit: Callable[..., None], initial: dict[str, Tensor]) -> dict[str, Arm]:
    """Return what is compared: from a dense network and a share of its norms to a constrained one."""

    def masked(ball: type, rewind: dict[str, Tensor] | None, dense: nn.Module, share: float) -> nn.Module:
        model = copy.deepcopy(dense)
        mask_and_retrain(model, radii(model, network, ball, share), fit, rewind=rewind)
        return model

    def each_epoch(ball: type, dense: nn.Module, share: float) -> nn.Module:
        model = copy.deepcopy(dense)
        balls = radii(model, network, ball, share)
        fit(model, None, after_epoch=lambda: project_(model, balls))
        return model

    partial = functools.partial
    found: dict[str, Arm] = {
        name: partial(masked, ball, None) for name, ball in BALLS.items() if ball is not NuclearBall
    }
    found["nuclear, each epoch"] = partial(each_epoch, NuclearBall)
    if network.seeds > 1:
        found["l1,1, each epoch"] = partial(each_epoch, L11Ball)
        found["l1,1, rewound"] = partial(masked, L11Ball, initial)
    return found


def radii(model: nn.Module, network: Network, ball: type, share: float) -> dict[str, object]:
    norms = {name: float(ball(0).norm(weight_of(model, name))) for name in network.constrained}
    return {name: ball(share * norm) for name, norm in norms.items()}


def weight_of(model: nn.Module, name: str) -> Tensor:
    return model.get_parameter(f"{name}.weight").detach()


def measured(model: nn.Module, network: Network, data: Data, factored: bool = False) -> dict[str, float]:
    """Return accuracies, zeros, and MACs of the network without what is dead (or with low-rank factors)."""
    small = factors(model, network) if factored else without_dead(model)
    with torch.no_grad():
        x = data["test"][0][:256]
        gap = float((small(x) - model(x)).abs().max() / model(x).abs().max())
    first = weight_of(model, network.constrained[0])
    columns = int((first == 0).transpose(0, 1).flatten(1).all(1).sum())
    reader = next(iter(p for p in small.parameters() if p.dim() >= 2))
    unread = int((reader == 0).transpose(0, 1).flatten(1).all(1).sum())
    macs = ns.profile(small, EXAMPLE).total["macs"]
    if reader.dim() == 2:  # A pixel that nothing reads costs nothing.
        macs -= unread * reader.shape[0]
    return {
        "choose": accuracy(model, data["choose"]),
        "accuracy": accuracy(model, data["test"]),
        "zeros": float((first == 0).float().mean()),
        "columns": columns,
        "macs": macs,
        "weights": sum(int((p != 0).sum()) for p in small.parameters() if p.dim() >= 2),
        "gap": gap,
    }


def without_dead(model: nn.Module) -> nn.Module:
    """Remove channels that nothing reads until there are none; one of each group stays."""
    while True:
        graph = ns.trace(model, EXAMPLE)
        keep = {}
        for group in graph.groups:
            read = torch.zeros(group.size, dtype=torch.bool)
            for one in group.slices:
                if one.role == "in":
                    rows = model.get_parameter(one.tensor).detach().movedim(one.dim, 0)[one.index]
                    read |= rows.flatten(1).any(1)
            if not read.any():
                read[0] = True
            keep[group.name] = read
        if all(bool(one.all()) for one in keep.values()):
            return model
        model, _ = ns.edits.remove(model, graph, keep)


def factors(model: nn.Module, network: Network) -> nn.Module:
    """Store each constrained layer as two thin ones where that has fewer weights."""
    for name in network.constrained:
        matrix = weight_of(model, name).flatten(1)
        rank = max(1, int(torch.linalg.matrix_rank(matrix, rtol=1e-4)))
        if rank * sum(matrix.shape) < matrix.numel():
            model, _ = ns.edits.factorise(model, name, rank=rank)
    return model


def report(evidence: Evidence, network: Network, found: list[dict[str, dict[str, float]]]) -> None:
    how = f"MNIST ({network.images} images, {EPOCHS} epochs, {network.seeds} seeds), {network.name}"
    average = {
        name: {key: mean(one[name][key] for one in found) for key in found[0][name]} for name in found[0]
    }
    for name in found[0]:
        got = {key: [one[name][key] for one in found] for key in found[0][name]}
        text = (
            f"accuracy {spread(got['accuracy'], 100)} %, {spread(got['zeros'], 100)} % zeros and "
            f"{spread(got['columns'])} zero columns in {network.constrained[0]}, "
            f"{spread(got['macs'], 1e-3)}k MACs, {spread(got['weights'], 1e-3)}k weights left"
        )
        evidence.row(f"{how}, {name}", reference="reported", got=text, holds=None)
    dense = average.pop("dense")
    lost = {name: 100 * (dense["accuracy"] - one["accuracy"]) for name, one in average.items()}
    got = ", ".join(f"{name} {points:.2f}" for name, points in lost.items())
    evidence.row(
        f"{how}: points of test accuracy lost", reference="<= 1", got=got, holds=max(lost.values()) <= 1
    )
    gap = max(one[name]["gap"] for one in found for name in one)
    evidence.row(
        f"{how}: outputs after the removal, relative gap", reference="<= 1e-4", got=gap, holds=gap <= 1e-4
    )
    for key in ("macs", "weights"):
        best = min(average, key=lambda name: average[name][key])
        evidence.row(
            f"{how}: ball with the fewest {key} left",
            reference="l1,1",
            got=f"{best}, {average[best][key]:.0f} (l1,1 {average['l1,1'][key]:.0f})",
            holds=best.startswith("l1,1"),
        )
    zeros = average["l1,1"]["zeros"]
    claim = f"{how}: share of zeros of l1,1 in {network.constrained[0]}"
    evidence.row(claim, reference=">= 0.8", got=zeros, holds=zeros >= 0.8)
