"""A task's networks as ONNX: exported with the sizes varying that the task says, and timed in turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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


def varies(exported: Exported) -> bool:
    """Tell whether an exported network takes inputs of other sizes."""
    return any(isinstance(size, str) for sizes in exported.shapes.values() for size in sizes)


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
