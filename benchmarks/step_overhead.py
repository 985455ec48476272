"""What does a penalty add to a training step?

    python benchmarks/step_overhead.py    # every penalty, ResNet-20, batch 128, 32x32
    python benchmarks/step_overhead.py HoyerSquare --pairs 30 --device cuda

A plain step (forward, cross entropy, backward, SGD with momentum) and the same step with the penalty take
turns in pairs, so that whatever else the machine does meets both alike. Told are the medians over the pairs
of both times and of their ratio with its quartiles, and the time of the penalty and its backward pass alone.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

import netsmith as ns
from netsmith import penalties, zoo
from netsmith.contracts import Penalty
from netsmith.errors import UnknownNameError


def members(model: nn.Module, inputs: torch.Tensor) -> dict[str, Penalty]:
    """Return every exported penalty by name; those over groups also in the form that takes a graph."""
    found: dict[str, Penalty] = {}
    for name in penalties.__all__:
        cls = getattr(penalties, name)
        if inspect.isclass(cls):
            found[name] = cls(strength=1e-5)
            if "graph" in inspect.signature(cls).parameters:
                found[f"{name}(graph)"] = cls(ns.trace(model, inputs), strength=1e-5)
    return found


def stepper(
    model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> Callable[[Penalty | None], float]:
    """Return a function that makes one training step and gives its seconds."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    wait = torch.cuda.synchronize if inputs.is_cuda else lambda: None

    def step(penalty: Penalty | None) -> float:
        wait()
        started = time.perf_counter()
        loss = F.cross_entropy(model(inputs), targets)
        if penalty is not None:
            loss = loss + penalty(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        wait()
        return time.perf_counter() - started

    return step


def overhead(
    step: Callable[[Penalty | None], float], penalty: Penalty, pairs: int
) -> tuple[float, float, list[float]]:
    """Return the median seconds of the plain and of the penalised step, and the ratios of all pairs."""
    for one in (None, penalty, None, penalty):
        step(one)
    plain: list[float] = []
    with_penalty: list[float] = []
    for number in range(pairs):
        for one in (None, penalty) if number % 2 else (penalty, None):
            (plain if one is None else with_penalty).append(step(one))
    ratios = [b / a for a, b in zip(plain, with_penalty, strict=True)]
    return statistics.median(plain), statistics.median(with_penalty), ratios


def alone(model: nn.Module, penalty: Penalty, repeats: int = 20) -> float:
    """Return the median seconds of a penalty's forward and backward pass without a task."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        penalty(model).backward()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a penalty adds to a training step.")
    parser.add_argument("names", nargs="*", help="penalties (default: all)")
    parser.add_argument("--model", default="resnet20", choices=zoo.names())
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)

    torch.manual_seed(0)
    model = zoo.build(given.model, classes=10, input_shape=(3, 32, 32)).to(given.device)
    inputs = torch.randn(given.batch, 3, 32, 32, device=given.device)
    targets = torch.randint(0, 10, (given.batch,), device=given.device)
    found = members(model, inputs)
    step = stepper(model, inputs, targets)
    print(f"{given.model}, batch {given.batch}, {given.pairs} pairs, {given.device}")
    print(f"{'penalty':26}{'plain ms':>10}{'with ms':>10}{'ratio':>8}   {'quartiles':13}{'alone ms':>10}")
    for name in given.names or found:
        if name not in found:
            raise UnknownNameError("penalty", name, found)
        plain, with_penalty, ratios = overhead(step, found[name], given.pairs)
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:26}{plain * 1e3:10.1f}{with_penalty * 1e3:10.1f}{middle:8.3f}   {low:.3f} {high:.3f}  "
            f"{alone(model, found[name]) * 1e3:10.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
