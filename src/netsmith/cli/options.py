"""The flags that several commands share, and how flags, recipe files and earlier runs become settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from netsmith.errors import NetsmithError

Model = Annotated[str | None, typer.Option("--model", help="NAME or file.py:callable  [default: small-cnn]")]
Data = Annotated[str | None, typer.Option("--data", help="NAME or file.py:callable  [default: digits]")]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", help="passes over the data the method may use  [default: by data size]"),
]
DenseEpochs = Annotated[
    int | None,
    typer.Option("--dense-epochs", help="passes over the data before the method  [default: as --epochs]"),
]
Out = Annotated[Path | None, typer.Option("--out", help="folder of the run")]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, mps  [default: the fastest there]")
]
RoundTo = Annotated[
    str | None,
    typer.Option(
        "--round-to", help="keep widths that are multiples of this  [default: auto, what runs fast here]"
    ),
]
Distill = Annotated[
    bool | None,
    typer.Option("--distill", help="let the dense network teach the one that is shaped"),
]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run in --out")]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="YAML file with the settings; flags go over it")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON on standard output")]
Quiet = Annotated[bool, typer.Option("--quiet", help="show no progress")]


def given(**flags: Any) -> dict[str, Any]:
    """Return the flags that were given."""
    return {name: value for name, value in flags.items() if value not in (None, [])}


def gather(
    kind: Any, flags: Mapping[str, Any], *, recipe: Path | None, out: Path | None, resume: bool, default: str
) -> tuple[Any, Path]:
    """Return checked settings and the folder of the run.

    The recipe's fields, or those of the run to resume, with the flags over them. The folder is ``out``, the
    recipe's, or the default's newest run to resume or its next free number.
    """
    from netsmith.config import read_recipe, settings

    fields: dict[str, Any] = {}
    if recipe is not None:
        fields = read_recipe(recipe)
        out = out or settings(kind, fields, str(recipe)).out
    folder = out or _default_folder(default, resume)
    if recipe is None and resume:
        fields = _fields_of_run(kind, folder)
    return settings(kind, {**fields, **flags}), folder


def _default_folder(default: str, resume: bool) -> Path:
    number, newest, candidate = 1, None, Path(default)
    while candidate.exists():
        number, newest, candidate = number + 1, candidate, Path(f"{default}-{number + 1}")
    return newest if resume and newest is not None else candidate


def _fields_of_run(kind: Any, folder: Path) -> dict[str, Any]:
    from netsmith.workflow.folder import IDENTITY, read_json

    if not (folder / IDENTITY).exists():
        return {}
    return {name: value for name, value in read_json(folder / IDENTITY).items() if name in kind.model_fields}


def split(text: str) -> list[str]:
    """Return the parts of a text with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def pairs(texts: list[str] | None) -> dict[str, Any]:
    """Return ``["strength=1e-4"]`` as ``{"strength": 0.0001}``.

    Raises:
        NetsmithError: a text without ``=``.
    """
    found = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise NetsmithError(f"cannot read the option {text!r}; write --option name=value")
        found[name.strip()] = plain(value.strip())
    return found


def plain(text: str) -> int | float | bool | str:
    """Return a flag's value as the number or truth value it spells, else as text."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


@contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """Keep standard output for the JSON alone: what libraries print meanwhile goes to standard error."""
    with redirect_stdout(sys.stderr) if wanted else nullcontext():
        yield


def print_json(data: Any) -> None:
    """Print plain data on standard output."""
    print(json.dumps(data, indent=2))
