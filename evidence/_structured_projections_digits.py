"""Check 4 of structured projections: a 64-300-100-10 network on digits, constrained by each ball."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from common import Evidence
from netsmith.drivers import mask_and_retrain, project_
from netsmith.masks import hold
from netsmith.projections import L1Ball, L11Ball, L21Ball, NuclearBall

BALLS = {"l1,1": L11Ball, "l1": L1Ball, "l2,1": L21Ball, "nuclear": NuclearBall}
SHARES = (0.4, 0.25, 0.16, 0.1, 0.07, 0.05, 0.035, 0.025)
CONSTRAINED = ("0", "2")  # The output layer keeps its 1,000 weights.
EPOCHS = 25
Data = dict[str, tuple[Tensor, Tensor]]


def load(seed: int) -> Data:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(images, labels, test_size=0.25, random_state=seed)
    train, choose, train_labels, choose_labels = train_test_split(
        rest, rest_labels, test_size=0.2, random_state=seed
    )
    parts = {"train": (train, train_labels), "choose": (choose, choose_labels), "test": (test, test_labels)}
    return {
        name: (torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)) for name, (x, y) in parts.items()
    }


def train(
    model: nn.Module,
    after_step: Callable[[], object] | None,
    data: Data,
    seed: int,
    after_epoch: Callable[[], object] | None = None,
    epochs: int = EPOCHS,
) -> None:
    """Plain loop: Adam, cosine schedule, batches of 64."""
    x, y = data["train"]
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    model.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
            if after_step is not None:
                after_step()
        schedule.step()
        if after_epoch is not None:
            after_epoch()
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, part: tuple[Tensor, Tensor]) -> float:
    right = [model(x).argmax(1) == y for x, y in zip(part[0].split(500), part[1].split(500), strict=True)]
    return float(torch.cat(right).float().mean())


def measured(model: nn.Module, data: Data) -> dict[str, float]:
    """Accuracy, zeros and zero columns of the first layer, and MACs once what is dead is removed."""
    weights = [model[i].weight.detach() != 0 for i in (0, 2, 4)]
    inputs = [torch.ones(w.shape[1], dtype=torch.bool) for w in weights]
    for _ in range(6):  # A dead neuron can make others dead; the depth bounds how often.
        for i, w in enumerate(weights):
            read = w[inputs[i + 1]] if i + 1 < len(weights) else w
            inputs[i] &= read.any(0)
            if i:
                inputs[i] &= weights[i - 1][:, inputs[i - 1]].any(1)
    outputs = [*[int(one.sum()) for one in inputs[1:]], 10]
    return {
        "choose": accuracy(model, data["choose"]),
        "accuracy": accuracy(model, data["test"]),
        "zeros": float((~weights[0]).float().mean()),
        "columns": int((~weights[0]).all(0).sum()),
        "macs": sum(int(one.sum()) * out for one, out in zip(inputs, outputs, strict=True)),
    }


def constrained(dense: nn.Module, ball: type, share: float, data: Data, seed: int) -> dict[str, float]:
    """Project at a share of each layer's norm, mask, retrain; low rank has no mask: projected every epoch."""
    model = copy.deepcopy(dense)
    radii = {
        name: ball(share * float(ball(0).norm(dense[int(name)].weight.detach()))) for name in CONSTRAINED
    }
    if ball is NuclearBall:
        train(model, None, data, seed, after_epoch=lambda: project_(model, radii))
        return measured(model, data) | {"macs": factored_macs(model)}
    mask_and_retrain(model, radii, functools.partial(train, data=data, seed=seed))
    return measured(model, data)


def factored_macs(model: nn.Module) -> int:
    """MACs with each layer stored as two factors where that is less."""
    total = 0
    for i in (0, 2, 4):
        weight = model[i].weight.detach()
        rank = int(torch.linalg.matrix_rank(weight, rtol=1e-4))
        total += min(rank * sum(weight.shape), weight.numel())
    return total


def equal_zeros(
    make: Callable[[float], dict[str, float]], low: float, high: float, zeros: float
) -> dict[str, float]:
    """Bisect a setting (more of it gives fewer zeros) until the first layer has the wanted zeros."""
    best: dict[str, float] = {}
    for _ in range(7):
        middle = (low * high) ** 0.5
        got = make(middle)
        if not best or abs(got["zeros"] - zeros) < abs(best["zeros"] - zeros):
            best = got
        low, high = (low, middle) if got["zeros"] < zeros else (middle, high)
    return best


def proximal(dense: nn.Module, data: Data, seed: int, strength: float) -> dict[str, float]:
    """The penalty form: soft-threshold after every step, then the same masked retraining."""
    model = copy.deepcopy(dense)
    weights = [model[int(name)].weight for name in CONSTRAINED]

    @torch.no_grad()
    def shrink() -> None:
        for weight in weights:
            weight.copy_(nn.functional.softshrink(weight, 2e-3 * strength))

    train(model, shrink, data, seed)
    masks = {f"{name}.weight": model[int(name)].weight.detach() != 0 for name in CONSTRAINED}
    with hold(model, masks) as after_step:
        train(model, after_step, data, seed)
    return measured(model, data)


def one_seed(seed: int) -> dict[str, dict[str, float]]:
    data = load(seed)
    torch.manual_seed(seed)
    dense = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    train(dense, None, data, seed)
    results = {"dense": measured(dense, data)}
    bar = results["dense"]["choose"] - 0.01
    for name, ball in BALLS.items():
        best = None
        for share in SHARES:
            got = constrained(dense, ball, share, data, seed)
            if got["choose"] < bar:
                break
            best = got
        results[name] = best or got
    zeros = results["l1,1"]["zeros"]
    plain = functools.partial(constrained, dense, L1Ball, data=data, seed=seed)
    results["l1 at the zeros of l1,1"] = equal_zeros(lambda share: plain(share), 1e-3, 1.0, zeros)
    penalty = functools.partial(proximal, dense, data, seed)
    results["l1 penalty at the zeros of l1,1"] = equal_zeros(
        lambda inverse: penalty(1 / inverse), 1.0, 1e3, zeros
    )
    return results


def digits(evidence: Evidence, runs: int = 3) -> None:
    results = [one_seed(evidence.seed + run) for run in range(runs)]
    for name in results[0]:
        got = {key: [one[name][key] for one in results] for key in ("accuracy", "zeros", "columns", "macs")}
        text = (
            f"accuracy {spread(got['accuracy'], 100)} %, first layer {spread(got['zeros'], 100)} % zeros, "
            f"{spread(got['columns'])} of 64 columns zero, {spread(got['macs'])} MACs"
        )
        stored = ", layers stored as factors" if name == "nuclear" else ""
        evidence.row(f"digits, {runs} seeds, {name}{stored}", reference="reported", got=text, holds=None)
    average: Callable[[str, str], Any] = lambda name, key: mean(one[name][key] for one in results)  # noqa: E731
    zeros = average("l1,1", "zeros")
    evidence.row(
        "l1,1 with masked retraining: first-layer weights removed",
        reference=">= 0.8",
        got=zeros,
        holds=zeros >= 0.8,
    )
    loss = 100 * (average("dense", "accuracy") - average("l1,1", "accuracy"))
    evidence.row("its test accuracy below dense, points", reference="<= 1", got=loss, holds=loss <= 1)
    for other in ("l1 at the zeros of l1,1", "l1 penalty at the zeros of l1,1"):
        one, two = average("l1,1", "columns"), average(other, "columns")
        evidence.row(
            f"whole columns zero: l1,1 > {other}",
            reference="more",
            got=f"{one:.1f} > {two:.1f}",
            holds=one > two,
        )


def spread(values: list[float], scale: float = 1) -> str:
    deviation = f" ± {scale * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{scale * mean(values):.1f}{deviation}"
