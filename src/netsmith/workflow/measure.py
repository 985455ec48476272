"""Two networks measured by the same rule, so that before and after can be set against each other."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    Accuracy on the held-out data; MACs of one pass over ``inputs``; latency of one input in ONNX Runtime, the
    two timed in turns; energy from the published table.

    Args:
        before: the original, on the CPU.
        after: the result, on the CPU.
        task: data and metric.
        inputs: example inputs of one sample.
        onnx: where the second network is exported to.
    """
    from netsmith.files import export

    with tempfile.TemporaryDirectory() as scratch:
        original = export(before, inputs, Path(scratch) / "before.onnx", batches=BATCHES)
        exported = export(after, inputs, onnx, batches=BATCHES)
        seconds = _timed({"before": original.path, "after": exported.path}, inputs, exported.batches)
    costs = {which: _costs(model, inputs) for which, model in (("before", before), ("after", after))}
    first = exported.batches[0]
    return Measured(
        before=_row(task.evaluate(before), costs["before"], seconds["before"][first]),
        after=_row(task.evaluate(after), costs["after"], seconds["after"][first]),
        details={
            "layers": _layers(costs["before"]["layers"], costs["after"]["layers"]),
            "frozen": costs["before"]["frozen"],
            "latency": _latency(seconds),
            "export": _parity(exported),
            "machine": machine(),
        },
    )


def _timed(paths: dict[str, Path], inputs: Inputs, batches: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """Time files in turns for half a second per batch size; short calls need many rounds to be told apart."""
    from netsmith.files import time_onnx

    seconds: dict[str, dict[int, float]] = {name: {} for name in paths}
    for batch in batches:
        tried = time_onnx(paths, inputs, batches=(batch,), repeats=3, threads=THREADS)
        rounds = HALF_SECOND / sum(times[batch] for times in tried.values())
        repeats = int(min(max(rounds, FEWEST), MOST))
        timed = time_onnx(paths, inputs, batches=(batch,), repeats=repeats, threads=THREADS)
        for name, times in timed.items():
            seconds[name].update(times)
    return seconds


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


def _row(accuracy: float, costs: dict[str, Any], latency: float) -> dict[str, float]:
    return {
        "accuracy": accuracy,
        "params": costs["params"],
        "macs": costs["macs"],
        "bytes": costs["bytes"],
        "latency_s": latency,
        "energy_j": costs["energy"],
    }


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
    return {"max_relative_difference": exported.difference, "bytes": exported.bytes}
