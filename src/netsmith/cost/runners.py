"""Who runs an operation and times it: ONNX Runtime (the default) or PyTorch as it is.

A runner measures one operation as it is deployed (bias, normalisation and ReLU folded into the kernel) or
one whole model, and says on what hardware. Any object with the members of :class:`Runner` will do, for
instance one that talks to a phone.

Times are the mean of the fastest quarter of repeated runs after a warm-up: other work on the machine only
ever adds time, so this settles sooner than the median.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from netsmith.calling import call
from netsmith.contracts import Inputs
from netsmith.cost.hardware import hardware
from netsmith.modes import evaluating

if TYPE_CHECKING:
    from netsmith.cost.shapes import OperationShape

WARM_UP = 2
MIN_RUNS = 5
MAX_RUNS = 40
TICK = 1e-6
"""The profiler cuts times down to whole microseconds; half of one is added back."""
SECONDS = 0.03
"""Runs go on until this much time is spent, within ``MIN_RUNS`` and ``MAX_RUNS``."""


class Runner(Protocol):
    """Measures seconds on one piece of hardware."""

    def hardware(self) -> dict[str, Any]:
        """Return what the times depend on, as plain data; two tables agree when these are equal."""
        ...

    def operation(self, shape: OperationShape) -> float:
        """Return the seconds of one operation, activation fused."""
        ...

    def model(self, model: nn.Module, inputs: Inputs) -> float:
        """Return the seconds of one whole model in evaluating mode."""
        ...


class OnnxRuntime:
    """ONNX Runtime on the CPU, with ``threads`` threads inside an operation.

    An operation is timed by the runtime's own profiler, so that a layout change at the border of a
    one-operation model, which a whole network does not have, is left out. The profiler's resolution is one
    microsecond, so widths of operations faster than a few microseconds cannot be told apart; nor do they
    matter beside what the runtime spends per operator.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self.threads = threads

    def hardware(self) -> dict[str, Any]:
        """Return processor, vector instructions, cores, threads and runtime version."""
        import onnxruntime

        return hardware() | {"threads": self.threads, "runtime": f"onnxruntime {onnxruntime.__version__}"}

    def operation(self, shape: OperationShape) -> float:
        """Return the seconds of one operation with bias and ReLU."""
        from netsmith.cost.one_operation import onnx_model

        model, feed = onnx_model(shape)
        with tempfile.TemporaryDirectory() as folder:
            session = self._session(model, str(Path(folder) / "profile"))
            _repeat(lambda: session.run(None, feed))
            events = json.loads(Path(session.end_profiling()).read_text())
        kernels: dict[str, list[float]] = {}
        for event in events:
            kernel = event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
            if kernel and not event["args"]["op_name"].startswith("Reorder"):
                kernels.setdefault(event["name"], []).append(event["dur"] * TICK)
        return sum(_settled(runs[WARM_UP:]) + TICK / 2 for runs in kernels.values())

    def model(self, model: nn.Module, inputs: Inputs) -> float:
        """Return the seconds of the exported model on the inputs."""
        from netsmith.files.onnx import export
        from netsmith.files.runtime import feed, open_session

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            export(model, inputs, path, check=False, dynamic_batch=False)
            session = open_session(path, self.threads)
        arrays = feed(session, inputs)
        return _settled(_repeat(lambda: session.run(None, arrays), seconds=20 * SECONDS))

    def _session(self, model: bytes, profile: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = profile
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class TorchEager:
    """PyTorch's own kernels on the CPU, operator by operator, with ``threads`` threads."""

    def __init__(self, *, threads: int = 1) -> None:
        self.threads = threads

    def hardware(self) -> dict[str, Any]:
        """Return processor, vector instructions, cores, threads and PyTorch's version."""
        return hardware() | {"threads": self.threads, "runtime": f"torch {torch.__version__}"}

    def operation(self, shape: OperationShape) -> float:
        """Return the seconds of one operation with bias and ReLU."""
        from netsmith.cost.one_operation import torch_model

        module, inputs = torch_model(shape)
        return self._time(lambda: module(inputs), SECONDS)

    def model(self, model: nn.Module, inputs: Inputs) -> float:
        """Return the seconds of the model as it is, in evaluating mode."""
        with evaluating(model):
            return self._time(lambda: call(model, inputs), 20 * SECONDS)

    def _time(self, run: Callable[[], Any], seconds: float) -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                return _settled(_repeat(run, seconds=seconds))
        finally:
            torch.set_num_threads(threads)


def _repeat(run: Callable[[], Any], *, seconds: float = SECONDS) -> list[float]:
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    while len(times) < MIN_RUNS or (sum(times) < seconds and len(times) < MAX_RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def _settled(times: list[float]) -> float:
    fastest = sorted(times)[: max(1, len(times) // 4)]
    return sum(fastest) / len(fastest)
