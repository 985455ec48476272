"""Two networks measured by the same rule, so that before and after can be set against each other."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.recipes.nonzeros import nonzeros
from netsmith.workflow.exports import THREADS, export_for, samples_of, timed, varies

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.files import Exported
    from netsmith.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What :func:`measure` found."""

    before: dict[str, float]
    after: dict[str, float]
    varies: bool
    """Whether the exported network takes inputs of other sizes."""
    details: dict[str, Any] = field(default_factory=dict)
    """Layer by layer, latencies by batch, frozen dimensions, parity of the export; for the report."""


def measure(before: nn.Module, after: nn.Module, task: Task, inputs: Inputs, onnx: Path) -> Measured:
    """Measure two networks on one task, and leave the second as ONNX.

    The task's metrics on the held-out data; parameters, and those of them that are not zero, which is what
    pruning single weights lowers; MACs of one pass over ``inputs``; latency of one input in ONNX Runtime, the
    two timed in turns, and in PyTorch; energy from the published table.

    Args:
        before: the original, on the CPU.
        after: the result, on the CPU.
        task: data and metric.
        inputs: example inputs of one sample.
        onnx: where the second network is exported to.
    """
    networks, samples = {"before": before, "after": after}, samples_of(task, inputs)
    with tempfile.TemporaryDirectory() as scratch:
        original = export_for(task, before, inputs, Path(scratch) / "before.onnx")
        exported = export_for(task, after, inputs, onnx)
        if not (varies(original) and varies(exported)):
            samples = dict([next(iter(samples.items()))])
        seconds = timed({"before": original.path, "after": exported.path}, samples)
    costs = {which: _costs(model, inputs) for which, model in networks.items()}
    eager, first = _eager(networks, inputs), next(iter(samples))
    rows = {
        which: {
            **task.measure(model),
            **{name: costs[which][name] for name in ("params", "macs", "bytes")},
            "nonzero": nonzeros(model),
            "latency_s": seconds[which][first],
            "eager_s": eager[which],
            "energy_j": costs[which]["energy"],
        }
        for which, model in networks.items()
    }
    return Measured(
        before=rows["before"],
        after=rows["after"],
        varies=varies(exported),
        details={
            "layers": _layers(costs["before"]["layers"], costs["after"]["layers"]),
            "frozen": costs["before"]["frozen"],
            "latency": _latency(seconds),
            "export": _parity(exported),
            "machine": machine(),
        },
    )


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
