"""Saving models as ``.nsm`` files."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from netsmith.contracts import Inputs
from netsmith.errors import FileError
from netsmith.files.architecture import Description, describe
from netsmith.files.archive import write_archive
from netsmith.files.inputs import Dims
from netsmith.files.program import program_members
from netsmith.files.values import UnstorableError
from netsmith.wrappers import network

ARCHITECTURE, RECORDS, WEIGHTS = "architecture.json", "records.json", "weights.safetensors"


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    inputs: Inputs | None = None,
    dynamic_shapes: Dims | None = None,
    records: Iterable[Mapping[str, Any]] | None = None,
) -> Path:
    """Save a model with its architecture, so that :func:`load` gives it back bit for bit.

    The file is one zip of plain data: the weights (safetensors), the module tree (JSON: classes by name,
    plain attributes, shapes), the edit records and a checksum of each. Tied parameters, shared memory,
    buffers that are not persistent, modes, ``requires_grad`` and parametrizations are kept; gradients and
    hooks of ``state_dict`` (a warning says so) are not.

    Args:
        model: any ``nn.Module`` whose attributes are plain data, tensors, modules, functions of
            ``torch.nn.functional`` or plain objects (a configuration) of such; it may be on any device and is
            loaded on the CPU.
        path: where to; written whole or not at all.
        inputs: example inputs (tensor, tuple or dict); the file then also carries the exported program in
            eval mode, which runs without the model's classes (:func:`load_program`).
        dynamic_shapes: for each argument the dimensions in which the program takes other sizes, by name; by
            default the batch.
        records: the edit records; those of the model by default.

    Returns:
        The path.

    Raises:
        FileError: an attribute is not plain data (a lambda, an open file, a hook) and no program can stand in
            for it; or the file cannot be written.

    Example:
        >>> import tempfile, netsmith.files, torch
        >>> path = netsmith.files.save(torch.nn.Linear(2, 1), f"{tempfile.mkdtemp()}/line.nsm", records=[])
        >>> netsmith.files.load(path)
        Linear(in_features=2, out_features=1, bias=True)
    """
    from safetensors.torch import save as to_safetensors

    model = network(model)
    try:
        found = describe(model)
    except UnstorableError as error:
        raise FileError(f"cannot save {type(model).__name__}: it holds {error}") from error
    if found.omitted and inputs is None:
        raise FileError(
            f"cannot save {type(model).__name__}: {'; '.join(found.omitted[:3])}; make it plain data or an "
            "nn.Module, or pass inputs= to store the exported program in its place"
        )
    members = {
        ARCHITECTURE: _json(found.architecture, "the architecture"),
        RECORDS: _json(_records(model) if records is None else [dict(r) for r in records], "records="),
        WEIGHTS: to_safetensors(found.content),
    }
    if inputs is not None:
        members |= _program(model, inputs, dynamic_shapes, found)
    write_archive(path, members)
    return Path(path)


def _program(model: nn.Module, inputs: Inputs, dims: Dims | None, found: Description) -> dict[str, bytes]:
    try:
        return program_members(model, inputs, found.content, dims)
    except FileError as error:
        if found.omitted:
            raise FileError(f"cannot save {type(model).__name__}: {found.omitted[0]}, and {error}") from error
        warnings.warn(f"the file carries no exported program: {error}", stacklevel=3)
        return {}


def _records(model: nn.Module) -> list[dict[str, Any]]:
    from netsmith.edits import records

    return records(model)


def _json(value: Any, what: str) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise FileError(f"{what} cannot be stored as JSON ({error}); expected plain data") from error
