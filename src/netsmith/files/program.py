"""The exported program of a model as members of a ``.nsm`` file: it runs without the model's class."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.errors import FileError
from netsmith.files.inputs import Dims, batch_shapes, batch_size, example, named_shapes
from netsmith.files.messages import first_line, one_line
from netsmith.files.quiet import quiet
from netsmith.files.recurrent import loops_over_time
from netsmith.modes import evaluating

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FOLDER = "program/"
INDEX = "program.json"
_SAMPLES = re.compile(r"data/sample_inputs/[^/]+\.pt")
_ALLOWED = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|models/model\.json|"
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
)
"""The parts of torch's format that hold no pickle and no compiled code."""


def program_members(
    model: nn.Module, inputs: Inputs, content: Mapping[str, Tensor], dims: Dims | None = None
) -> dict[str, bytes]:
    """Export ``model`` in eval mode and return the members to store; ``dims`` vary, or else the batch.

    Weights that ``content`` already holds, byte for byte, are not stored again. The example inputs and the
    stack traces torch would add (the former as a pickle) are left out.

    Raises:
        FileError: torch.export cannot express the model, or would need a pickle to store it.
    """
    try:
        with quiet(), torch.no_grad(), evaluating(model):
            program = _export(model, inputs, dims)
            buffer = io.BytesIO()
            torch.export.save(program, buffer)
    except FileError:
        raise
    except Exception as error:
        raise FileError(f"torch.export cannot express {type(model).__name__}: {first_line(error)}") from error
    parts = _unzip(buffer.getvalue())
    _refuse_pickles(parts)
    known = {
        hashlib.sha256(_bytes(tensor)).digest(): key for key, tensor in content.items() if tensor.numel()
    }
    index = {name: known.get(hashlib.sha256(data).digest()) for name, data in sorted(parts.items())}
    stored = {FOLDER + name: parts[name] for name, key in index.items() if key is None}
    return {INDEX: json.dumps(index).encode(), **stored}


def load_members(members: Mapping[str, bytes], index: Any, content: Mapping[str, Tensor]) -> ExportedProgram:
    """Return the program of :func:`program_members`.

    Raises:
        FileError: a part is missing, or holds a pickle.
        Exception: torch.export.load cannot read it.
    """
    parts = {
        name: members[FOLDER + name] if key is None else _bytes(content[key]) for name, key in index.items()
    }
    _refuse_pickles(parts)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(f"archive/{name}", data)
    buffer.seek(0)
    with quiet():
        return torch.export.load(buffer)


def _export(model: nn.Module, inputs: Inputs, dims: Dims | None) -> ExportedProgram:
    from torch.export import Dim, export

    arguments = example(model, inputs)
    shapes = batch_shapes(model, arguments, Dim.AUTO) if batch_size(arguments) else None
    if dims is not None:
        shapes = named_shapes(model, arguments, dims, Dim.AUTO)
    with loops_over_time() if dims is not None else nullcontext():
        program = export(model, *arguments, dynamic_shapes=shapes)
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def _unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def _refuse_pickles(parts: Mapping[str, bytes]) -> None:
    for name, data in parts.items():
        empty_samples = _SAMPLES.fullmatch(name) and not data
        if not empty_samples and not _ALLOWED.fullmatch(name):
            raise FileError(
                f"the exported program holds {one_line(name)}, which is unpickled or run as compiled code"
            )
        if name.endswith("_config.json") and _pickled(json.loads(data)):
            raise FileError(
                f"the exported program pickles a tensor ({one_line(name)}); only plain tensors are stored"
            )


def _pickled(config: Any) -> bool:
    return any(entry["use_pickle"] is not False for entry in config["config"].values())


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
