"""``netsmith export`` and ``netsmith report``: other forms of what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netsmith.cli import options as o

if TYPE_CHECKING:
    from torch import nn

    from netsmith.tasks.task import Task


def export(
    saved: Annotated[Path, typer.Argument(metavar="MODEL.nsm", help="a saved model")],
    onnx: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="where to")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="whose inputs to check with  [default: the run's, or digits]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="file.py:callable whose file defines the model's own classes"),
    ] = None,
    json: o.Json = False,
) -> None:
    """Export a saved model to ONNX, check it against PyTorch on fresh inputs, and time it."""
    with o.only_json(json):
        from netsmith.resolve import load_callable, resolve_task
        from netsmith.workflow.exports import export_for, samples_of, timed

        if model is not None:
            load_callable(model)
        task = resolve_task(data or _data_of_run(saved.parent))
        written = export_for(task, _loaded(saved, task), task.example(), onnx)
        seconds = timed({"model": onnx}, samples_of(task, task.example()))["model"]
    if json:
        o.print_json(
            {
                "path": str(written.path),
                "bytes": written.bytes,
                "max_relative_difference": written.difference,
                "latency_s": {str(batch): time for batch, time in seconds.items()},
            }
        )
        return
    print(written)
    for batch, time in seconds.items():
        print(f"batch {batch}: {1000 * time:.3f} ms in ONNX Runtime")


def _data_of_run(folder: Path) -> str:
    return str(_run(folder).get("data", "digits"))


def _run(folder: Path) -> dict[str, Any]:
    from netsmith.workflow.folder import IDENTITY, read_json

    return dict(read_json(folder / IDENTITY)) if (folder / IDENTITY).exists() else {}


def _loaded(saved: Path, task: Task) -> nn.Module:
    """Return the saved model; what its file cannot hold comes from the original, where a run names it."""
    from netsmith.errors import FileError
    from netsmith.files import load
    from netsmith.resolve import resolve_model

    try:
        return load(saved)
    except FileError:
        original = _run(saved.parent).get("model")
        if original is None:
            raise
        return load(saved, into=resolve_model(original, task))


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder of a run of compress or compare")],
    json: o.Json = False,
) -> None:
    """Write the HTML page of a finished run again."""
    with o.only_json(json):
        from netsmith.report import write, write_comparison
        from netsmith.workflow.comparison import COMPARISON, PAGE
        from netsmith.workflow.folder import read_json
        from netsmith.workflow.result import REPORT, RESULT
        from netsmith.workflow.trials import FILE, Trials

        if (folder / FILE).exists():
            path = write_comparison(Trials(folder).rows(), folder / PAGE)
        elif (folder / COMPARISON).exists():
            path = write_comparison(read_json(folder / COMPARISON)["rows"], folder / PAGE)
        else:
            path = write(read_json(folder / RESULT), folder / REPORT)
    if json:
        o.print_json({"path": str(path)})
    else:
        print(path)
