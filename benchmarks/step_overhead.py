"""What do penalties and gates add to a training step?

    python benchmarks/step_overhead.py    # every penalty and gate, ResNet-20, batch 128, 32x32
    python benchmarks/step_overhead.py HoyerSquare ScaledSigmoid --pairs 30 --device cuda

A plain step (forward, cross entropy, backward, SGD with momentum) and the same step with the penalty, or of
the gates on the frozen network, take turns in pairs, so that whatever else the machine does meets both alike.
Told are the medians over the pairs of both times and of their ratio with its quartiles, and the time of the
penalty and its backward pass alone. The status is 1 when a ratio is above ``--most``.

What there is to measure is read off the families: all classes that ``netsmith.penalties`` exports, and all
gates of ``netsmith.gates``.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsmith as ns
from netsmith import gates, penalties, zoo
from netsmith.errors import UnknownNameError

STRENGTH = 1e-5
Clock = Callable[[], float]


@dataclass
class Member:
    """A way to train: the loss of one step, what learns, and what is added to the task's loss."""

    loss: Callable[[], Tensor]
    parameters: list[nn.Parameter]
    extra: Callable[[], Tensor] | None = None

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.SGD(self.parameters, lr=1e-3, momentum=0.9)

    def step(self, clock: Clock = time.perf_counter) -> float:
        """Make one training step; return its seconds."""
        _wait()
        started = clock()
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        _wait()
        return clock() - started

    def alone(self, clock: Clock = time.perf_counter, repeats: int = 20) -> float:
        """Return the median seconds of what is added and its backward pass, without a task."""
        times = []
        for _ in range(repeats if self.extra else 0):
            started = clock()
            self.extra().backward()
            _wait()
            times.append(clock() - started)
        return statistics.median(times) if times else float("nan")


def members(model: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Member]:
    """Return every exported penalty and gate by name; penalties over groups also in the form of a graph."""
    graph = ns.trace(model, inputs[:2])
    found = {}
    for name, cls in exported(penalties):
        found[name] = with_penalty(model, inputs, targets, cls(strength=STRENGTH))
        if "graph" in inspect.signature(cls).parameters:
            found[f"{name}(graph)"] = with_penalty(model, inputs, targets, cls(graph, strength=STRENGTH))
    for name, cls in exported(gates):
        if issubclass(cls, nn.Module) and hasattr(cls, "__card__"):
            found[name] = with_gates(gates.Gated(model, graph, cls).train(), inputs, targets)
    return found


def exported(family: object) -> Iterator[tuple[str, type]]:
    """Yield the classes that a package exports, with their names."""
    for name in family.__all__:
        member = getattr(family, name)
        if inspect.isclass(member):
            yield name, member


def with_penalty(
    model: nn.Module, inputs: Tensor, targets: Tensor, penalty: Callable[[nn.Module], Tensor] | None
) -> Member:
    """Return the training of a network with a penalty, or without one."""

    def loss() -> Tensor:
        task = F.cross_entropy(model(inputs), targets)
        return task if penalty is None else task + penalty(model)

    extra = None if penalty is None else lambda: penalty(model)
    return Member(loss, list(model.parameters()), extra)


def with_gates(gated: nn.Module, inputs: Tensor, targets: Tensor) -> Member:
    """Return the training of the gates on a network."""

    def loss() -> Tensor:
        return F.cross_entropy(gated(inputs), targets) + STRENGTH * gated.gate.measure()

    return Member(loss, [parameter for parameter in gated.parameters() if parameter.requires_grad])


def overhead(
    plain: Member, other: Member, pairs: int, clock: Clock = time.perf_counter
) -> tuple[float, float, list[float]]:
    """Return the median seconds of the steps of both, and the ratios of all pairs."""
    for one in (plain, other, plain, other):
        one.step()
    times: dict[int, list[float]] = {id(plain): [], id(other): []}
    for number in range(pairs):
        for one in (plain, other) if number % 2 else (other, plain):
            times[id(one)].append(one.step(clock))
    ratios = [b / a for a, b in zip(times[id(plain)], times[id(other)], strict=True)]
    return statistics.median(times[id(plain)]), statistics.median(times[id(other)]), ratios


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What penalties and gates add to a training step.")
    parser.add_argument("names", nargs="*", help="penalties and gates (default: all)")
    parser.add_argument("--model", default="resnet20", choices=zoo.names())
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--channels-last", action="store_true", help="the memory format that ns.train.fit takes"
    )
    parser.add_argument("--cpu-time", action="store_true", help="count CPU time, for a busy machine")
    parser.add_argument("--most", type=float, default=1.15, help="the ratio that is aimed at")
    given = parser.parse_args(arguments)

    torch.manual_seed(0)
    layout = torch.channels_last if given.channels_last else torch.contiguous_format
    model = zoo.build(given.model, classes=10, input_shape=(3, 32, 32))
    model = model.to(given.device, memory_format=layout)
    inputs = torch.randn(given.batch, 3, 32, 32, device=given.device).contiguous(memory_format=layout)
    targets = torch.randint(0, 10, (given.batch,), device=given.device)
    clock = time.process_time if given.cpu_time else time.perf_counter
    found, plain = members(model, inputs, targets), with_penalty(model, inputs, targets, None)
    print(f"{given.model}, batch {given.batch}, {given.pairs} pairs, {given.device}, {layout}")
    print(f"{'member':26}{'plain ms':>10}{'with ms':>10}{'ratio':>8}   {'quartiles':13}{'alone ms':>10}")
    worst = 0.0
    for name in given.names or found:
        if name not in found:
            raise UnknownNameError("penalty or gate", name, found)
        without, with_it, ratios = overhead(plain, found[name], given.pairs, clock)
        low, middle, high = statistics.quantiles(ratios, n=4)
        worst = max(worst, middle)
        print(
            f"{name:26}{without * 1e3:10.1f}{with_it * 1e3:10.1f}{middle:8.3f}   {low:.3f} {high:.3f}  "
            f"{found[name].alone(clock) * 1e3:10.2f}",
            flush=True,
        )
    print(f"the highest ratio is {worst:.3f}; the aim is at most {given.most}")
    return int(worst > given.most)


if __name__ == "__main__":
    sys.exit(main())
