"""Two networks measured by the same rule, so that before and after can be set against each other."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.tasks.batches import size_of

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.files import Exported
    from netsmith.tasks.task import Task

BATCHES = (1, 32)
THREADS = 1
"""As in the latency table, so that a latency budget and its measurement speak of the same thing."""
HALF_SECOND = 0.5
FEWEST, MOST = 10, 2000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What :func:`measure` found."""

    before: dict[str, float]
    after: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    """Layer by layer, latencies by batch, frozen dimensions, parity of the export; for the report."""


def measure(before: nn.Module, after: nn.Module, task: Task, inputs: Inputs, onnx: Path) -> Measured:
    """Measure two networks on one task, and leave the second as ONNX.

    The task's metrics on the held-out data; MACs of one pass over ``inputs``; latency of one input in ONNX
    Runtime, the two timed in turns, and in PyTorch; energy from the published table.

    Args:
        before: the original, on the CPU.
        after: the result, on the CPU.
        task: data and metric.
        inputs: example inputs of one sample.
        onnx: where the second network is exported to.
    """
    samples = samples_of(task, inputs)
    with tempfile.TemporaryDirectory() as scratch:
        original = export_for(task, before, inputs, Path(scratch) / "before.onnx")
        exported = export_for(task, after, inputs, onnx)
        seconds = timed({"before": original.path, "after": exported.path}, samples)
    networks = {"before": before, "after": after}
    costs = {which: _costs(model, inputs) for which, model in networks.items()}
    eager = _eager(networks, inputs)
    first = next(iter(samples))
    rows = {
        which: {
            **task.measure(model),
            **{name: costs[which][name] for name in ("params", "macs", "bytes")},
            "latency_s": seconds[which][first],
            "eager_s": eager[which],
            "energy_j": costs[which]["energy"],
        }
        for which, model in networks.items()
    }
    return Measured(
        before=rows["before"],
        after=rows["after"],
        details={
            "layers": _layers(costs["before"]["layers"], costs["after"]["layers"]),
            "frozen": costs["before"]["frozen"],
            "latency": _latency(seconds),
            "export": _parity(exported),
            "machine": machine(),
        },
    )


def samples_of(task: Task, inputs: Inputs) -> dict[int, Inputs]:
    """Return what to time on, by the number of samples: the example, and a batch."""
    from netsmith.files.inputs import with_batch

    if task.varying is None:
        return {size: with_batch(inputs, size) for size in BATCHES}
    sizes = dict.fromkeys(min(size, size_of(task.test)) for size in BATCHES)
    return {size: inputs if size == 1 else task.example(size) for size in sizes}


def export_for(task: Task, model: nn.Module, inputs: Inputs, path: Path) -> Exported:
    """Export a network with the sizes varying that the task says; all fixed where the network has them so."""
    from netsmith.errors import FileError
    from netsmith.files import export

    if task.varying is None:
        return export(model, inputs, path, batches=BATCHES)
    samples = tuple(samples_of(task, inputs).values())
    example, dims = task.varying.example, task.varying.dims
    try:
        return export(model, example, path, dynamic_shapes=dims, samples=samples)
    except FileError:
        return export(model, inputs, path, dynamic_batch=False, samples=samples[:1])


def timed(paths: dict[str, Path], samples: dict[int, Inputs]) -> dict[str, dict[int, float]]:
    """Time files in turns for half a second per sample; short calls need many rounds to be told apart."""
    from netsmith.files import time_onnx
    from netsmith.files.inputs import batch_size

    seconds: dict[str, dict[int, float]] = {name: {} for name in paths}
    for size, inputs in samples.items():
        batches = (batch_size(inputs) or 1,)
        tried = time_onnx(paths, inputs, batches=batches, repeats=3, threads=THREADS)
        rounds = HALF_SECOND / sum(times[batches[0]] for times in tried.values())
        repeats = int(min(max(rounds, FEWEST), MOST))
        measured = time_onnx(paths, inputs, batches=batches, repeats=repeats, threads=THREADS)
        for name, times in measured.items():
            seconds[name][size] = times[batches[0]]
    return seconds


def _eager(networks: dict[str, nn.Module], inputs: Inputs) -> dict[str, float]:
    """Return the seconds of one pass in PyTorch, the faster of two tries each, in turns."""
    from netsmith.cost.runners import TorchEager

    runner = TorchEager(threads=THREADS)
    tries = [{which: runner.model(model, inputs) for which, model in networks.items()} for _ in range(2)]
    return {which: min(one[which] for one in tries) for which in networks}


def macs(model: nn.Module, inputs: Inputs) -> float:
    """Return the multiply-accumulates of one forward pass over ``inputs``."""
    from netsmith.cost import Cost
    from netsmith.graph import trace

    return Cost(trace(model, inputs)).total()["macs"]


def machine() -> dict[str, Any]:
    """Return what the measured times depend on."""
    from netsmith.cost.hardware import hardware

    return {**hardware(), "system": platform.platform(terse=True)}


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    from importlib.metadata import version

    packages = ("netsmith", "torch", "numpy", "onnx", "onnxruntime")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


def _costs(model: nn.Module, inputs: Inputs) -> dict[str, Any]:
    from netsmith.cost import Cost
    from netsmith.cost.energy import EnergyTable
    from netsmith.graph import trace

    graph = trace(model, inputs)
    cost = Cost(graph, energy=EnergyTable())
    frozen = {f"{tensor}:{dim}": reason for (tensor, dim), reason in graph.frozen.items()}
    return {**cost.total(), "layers": cost.layers(), "frozen": frozen}


def _layers(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the original's layers beside what is left of each; a layer that is gone has nothing left."""
    left = {layer["name"]: layer for layer in after}
    gone = {"out": 0, "macs": 0.0, "params": 0}
    return [
        {
            "name": layer["name"],
            "kind": layer["kind"],
            "width_before": layer.get("out"),
            "width_after": left.get(layer["name"], gone).get("out"),
            "macs_before": layer["macs"],
            "macs_after": left.get(layer["name"], gone)["macs"],
            "params_before": layer.get("params"),
            "params_after": left.get(layer["name"], gone).get("params"),
        }
        for layer in before
        if layer.get("out") is not None
    ]


def _latency(seconds: dict[str, dict[int, float]]) -> dict[str, Any]:
    batches = {
        str(batch): {which: seconds[which][batch] for which in ("before", "after")}
        for batch in seconds["after"]
    }
    return {"runtime": "ONNX Runtime", "threads": THREADS, "batches": batches}


def _parity(exported: Exported) -> dict[str, Any]:
    shapes = {name: list(sizes) for name, sizes in exported.shapes.items()}
    return {"max_relative_difference": exported.difference, "bytes": exported.bytes, "inputs": shapes}
