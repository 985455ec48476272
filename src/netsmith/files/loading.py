"""Loading models from ``.nsm`` files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn

from netsmith.errors import FileError
from netsmith.files.archive import read_archive, read_json
from netsmith.files.classes import Classes, ClassFinder
from netsmith.files.messages import first_line, one_line
from netsmith.files.program import INDEX, load_members
from netsmith.files.rebuild import build, fill, missing_classes
from netsmith.files.saving import ARCHITECTURE, RECORDS, WEIGHTS
from netsmith.files.tensors import restore_tensors
from netsmith.files.values import MissingClassError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Result = TypeVar("Result")


def load(path: str | os.PathLike[str], *, classes: Classes = (), into: nn.Module | None = None) -> nn.Module:
    """Return the model of a ``.nsm`` file, on the CPU, bit for bit as it was saved.

    Safe on a file from anyone: nothing is unpickled, nothing is imported because the file says so, no
    constructor runs. Only ``nn.Module`` classes of torch.nn, of netsmith, of modules the process has already
    imported (``__main__`` too) and of ``classes`` are built, and their attributes are plain data. So are
    those of plain objects, whose classes must be from the packages the others are from, or among ``classes``.

    Args:
        path: a file of :func:`save`.
        classes: further classes to build, or a mapping from the name in the file to the class.
        into: an instance of the original architecture to fill instead; its parameters, buffers and sizes
            become those of the file, what the file cannot hold stays. It keeps its device and is returned.

    Raises:
        FileError: the file is missing, truncated, changed since it was saved or no netsmith model; or a class
            is missing (the message says which, and the ways out).
    """
    from netsmith.edits.records import remember

    members = read_archive(path)
    architecture, records = read_json(path, ARCHITECTURE, members), _checked_records(path, members)
    finder = ClassFinder(classes)

    def rebuild() -> nn.Module:
        if into is None:
            _refuse_incomplete(path, architecture, finder, INDEX in members)
        tensors = restore_tensors(architecture["tensors"], _weights(members))
        if into is None:
            return build(architecture, tensors, finder)
        place = next((p.device for p in into.parameters()), None)
        fill(architecture, tensors, finder, into)
        return into.to(place)

    model = _guarded(path, rebuild)
    remember(model, [], records)
    return model


def load_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """Return the exported program of a ``.nsm`` file; ``load_program(path).module()`` runs without any class.

    Unlike :func:`load`, only for files you trust: a program is code. ``torch.export.load`` turns its graph
    into Python and evaluates its size expressions with Python's ``eval``; its own documentation says never to
    load data from an untrusted source. Only the plainest door is closed here: a program with a pickled part
    (example inputs, tensors, custom objects) or a compiled library is refused, and :func:`save` writes none.

    Raises:
        FileError: the file is damaged or no netsmith model, carries no program, or carries a pickle.
    """
    members = read_archive(path)
    if INDEX not in members:
        raise FileError(f"{path} carries no exported program; save the model with inputs= to add it")
    index = read_json(path, INDEX, members)
    return _guarded(path, lambda: load_members(members, index, _weights(members)))


def load_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the edit records of a ``.nsm`` file: what was removed from the original model, as plain data.

    Raises:
        FileError: the file is missing, damaged or no netsmith model.
    """
    return _checked_records(path, read_archive(path))


def _checked_records(path: str | os.PathLike[str], members: Mapping[str, bytes]) -> list[dict[str, Any]]:
    records = read_json(path, RECORDS, members)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise FileError(f"{RECORDS} in {path} is not a list of records; save the model again")
    return records


def _weights(members: Mapping[str, bytes]) -> dict[str, Tensor]:
    from safetensors.torch import load as from_safetensors

    return from_safetensors(members[WEIGHTS])


def _guarded(path: str | os.PathLike[str], read: Callable[[], Result]) -> Result:
    try:
        return read()
    except FileError:
        raise
    except MissingClassError as error:
        raise FileError(
            f"{path} needs the class {one_line(error)}; import it first or pass it in classes="
        ) from error
    except Exception as error:
        # Checksums hold, so the file was made this way: whatever it trips over, it is not one of ours.
        raise FileError(f"{path} does not hold what netsmith.save writes ({first_line(error)})") from error


def _refuse_incomplete(
    path: str | os.PathLike[str], architecture: dict[str, Any], finder: ClassFinder, has_program: bool
) -> None:
    program = "run its exported program with netsmith.load_program(path)"
    ways = ["pass into= an instance of the original architecture", *([program] if has_program else [])]
    if missing := missing_classes(architecture, finder):
        ways = ["import the module that defines it", "pass the class in classes=", *ways]
        raise FileError(f"{path} needs {_classes(missing)}, which this process has not; {', or '.join(ways)}")
    if omitted := architecture["omitted"]:
        raise FileError(
            f"{path} holds no complete architecture: {one_line(omitted[0])}; {', or '.join(ways)}"
        )


def _classes(names: list[str]) -> str:
    return f"the class{'es' if len(names) > 1 else ''} {one_line(', '.join(names))}"
