"""Do votes beat chance in a convolutional network? Pruned while it trains from new weights, no fine-tuning.

A CNN on 1,000 images of Fashion-MNIST; every score takes the same share of every layer at the same epochs, so
that all networks have the same shape, and each sees the same batches. The quick tier only shows that it runs.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

import netsmith as ns
from common import Evidence
from netsmith import scores, tasks, zoo
from netsmith.contracts import Score
from netsmith.recipes import PruningEvents
from netsmith.tasks import Task

EVENTS = (2, 3, 4, 5)
RATIO = 0.3
VOTERS = 512


def main() -> int:
    with Evidence("majority-voting-cnn") as evidence:
        epochs, seeds, train_size = (10, (0, 1, 2), 1000) if evidence.full else (3, (0, 1), 100)
        task = tasks.load("fashion-mnist", train_size=train_size, test_size=1000)
        makers = arms(task) if evidence.full else {name: arms(task)[name] for name in ("winner", "random")}
        found = {name: [run(task, make, epochs, seed) for seed in seeds] for name, make in makers.items()}
        for name in ("winner", "random"):
            found[f"{name}, all at epoch 2"] = [
                run(task, makers[name], epochs, seed, at=(EVENTS[0],) * len(EVENTS)) for seed in seeds
            ]
        listed = ", ".join(
            f"{name} {statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
            for name, values in found.items()
        )
        evidence.row(
            f"CNN on {train_size} images of Fashion-MNIST, {epochs} epochs, 0.3 of every layer at epochs "
            f"{EVENTS}, {len(seeds)} seeds: accuracy",
            reference="reported",
            got=listed,
            holds=None,
        )
        for name, values in found.items():
            if name not in ("random", "not pruned"):
                ahead = [one - other for one, other in zip(values, found["random"], strict=True)]
                mean, error = statistics.mean(ahead), statistics.stdev(ahead) / len(ahead) ** 0.5
                evidence.row(
                    f"{name}: points above random at the same shape, by seed, and standard error",
                    reference="> 0 by two standard errors",
                    got=f"{mean:+.1f} ± {error:.1f}",
                    holds=mean > 2 * error if evidence.full else None,
                )
    return evidence.status


def arms(task: Task) -> dict[str, Callable[[int], Score | None]]:
    def votes(rule: str) -> Callable[[int], Score | None]:
        return lambda seed: scores.MajorityVoting(rule=rule)  # type: ignore[arg-type]

    return {
        "not pruned": lambda seed: None,
        "random": lambda seed: scores.Random(torch.Generator().manual_seed(seed)),
        "winner": votes("winner"),
        "mean": votes("mean"),
        "copeland": votes("copeland"),
        "magnitude": lambda seed: scores.magnitude,
        "taylor": lambda seed: scores.taylor,
    }


def run(
    task: Task,
    make: Callable[[int], Score | None],
    epochs: int,
    seed: int,
    at: tuple[int, ...] = EVENTS,
) -> float:
    """Train once, with an event before each of the epochs ``at``; return the accuracy in percent."""
    x, y = task.train.tensors
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: nn.Module = zoo.build("small-cnn", classes=10, input_shape=task.input_shape, width=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator, score = torch.Generator().manual_seed(seed), make(seed)

    def loss(network: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(network(x[:VOTERS]), y[:VOTERS])

    events = PruningEvents(x[:2], loss, score=score)
    for epoch in range(epochs):
        for _ in range(at.count(epoch) if score is not None else 0):
            model, _ = events.step(model, optimizer, ratio=RATIO)
        model.train()
        for rows in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
    ns.train.recalibrate(model, task.train, 20, batch_size=50, seed=seed)
    return 100 * task.evaluate(model)


if __name__ == "__main__":
    sys.exit(main())
