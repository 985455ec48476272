"""``netsmith export`` and ``netsmith report``: other forms of what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netsmith.cli import options as o


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
        import netsmith as ns
        from netsmith.resolve import load_callable, resolve_task

        if model is not None:
            load_callable(model)
        task = resolve_task(data or _data_of_run(saved.parent))
        written = ns.export(ns.load(saved), task.example(), onnx, timed=True)
    if json:
        o.print_json(
            {
                "path": str(written.path),
                "bytes": written.bytes,
                "max_relative_difference": written.difference,
                "latency_s": {str(batch): seconds for batch, seconds in written.seconds.items()},
            }
        )
        return
    print(written)
    for batch, seconds in written.seconds.items():
        print(f"batch {batch}: {1000 * seconds:.3f} ms in ONNX Runtime")


def _data_of_run(folder: Path) -> str:
    from netsmith.workflow.folder import IDENTITY, read_json

    return str(read_json(folder / IDENTITY)["data"]) if (folder / IDENTITY).exists() else "digits"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder of a run of compress or compare")],
    json: o.Json = False,
) -> None:
    """Write the HTML page of a finished run again."""
    with o.only_json(json):
        from netsmith.report import write, write_comparison
        from netsmith.workflow.comparison import PAGE
        from netsmith.workflow.folder import read_json
        from netsmith.workflow.result import REPORT, RESULT
        from netsmith.workflow.trials import STORAGE, Trials

        if (folder / STORAGE).exists():
            path = write_comparison(Trials(folder).rows(), folder / PAGE)
        else:
            path = write(read_json(folder / RESULT), folder / REPORT)
    if json:
        o.print_json({"path": str(path)})
    else:
        print(path)
