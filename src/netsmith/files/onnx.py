"""Export to ONNX, checked against PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsmith.contracts import Inputs
from netsmith.errors import FileError
from netsmith.files.atomic import atomic
from netsmith.files.inputs import (
    Arguments,
    Dims,
    batch_shapes,
    batch_size,
    bind,
    example,
    named_shapes,
)
from netsmith.files.messages import first_line
from netsmith.files.onnx_program import onnx_program
from netsmith.files.parity import fresh_samples, onnx_difference
from netsmith.files.quiet import quiet
from netsmith.files.recorded import write_recorded
from netsmith.files.recurrent import loops_over_time
from netsmith.files.runtime import open_session, time_onnx
from netsmith.modes import evaluating
from netsmith.wrappers import network

TOLERANCE = 1e-3
"""Largest relative difference from PyTorch that an export may have."""


@dataclass(frozen=True)
class Exported:
    """What was written and how far it is from PyTorch."""

    path: Path
    bytes: int
    difference: float | None
    """Largest ``|onnx - torch| / max |torch|`` over outputs and batches; None when unchecked."""
    batches: tuple[int, ...]
    """The batch sizes it was checked at."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    """Sizes of each input: a number is fixed, a name varies."""
    seconds: Mapping[int, float] = field(default_factory=dict)
    """Median time of one call in ONNX Runtime by batch size, when asked for."""
    recorded: bool = False
    """Whether it holds the branches of one run, because ``torch.export`` could not follow the code."""

    def __str__(self) -> str:
        checked = (
            "not checked" if self.difference is None else f"max relative difference {self.difference:.1e}"
        )
        return f"{self.path} ({self.bytes / 1e6:.2f} MB, {checked})"


def export(
    model: nn.Module,
    inputs: Inputs,
    path: str | os.PathLike[str],
    *,
    check: bool = True,
    dynamic_batch: bool = True,
    dynamic_shapes: Dims | None = None,
    samples: Sequence[Inputs] = (),
    batches: Sequence[int] = (1, 32),
    timed: bool = False,
) -> Exported:
    """Export a model in eval mode to ONNX and compare it with PyTorch on inputs it was not exported with.

    What ``torch.export`` cannot follow (branches on values, say) is recorded in one run instead, if it is
    checked: a branch that other inputs take otherwise fails the check.

    Args:
        model: on any device; its modes are as they were afterwards.
        inputs: example inputs: one tensor, a tuple, or a dict of keyword arguments.
        path: where to; written whole, and only when the check holds.
        check: run ONNX Runtime and PyTorch on fresh inputs of every batch size; at most 1e-3 apart. Where the
            model refuses fresh integers (indices that must be sorted), those of the example stay.
        dynamic_batch: let dim 0 vary where it is the batch (equal to dim 0 of the first input).
        dynamic_shapes: for each argument the dimensions that may vary and their names, in place of the batch:
            ``({0: "nodes"}, {1: "edges"})``.
        samples: inputs to check with in place of fresh ones, of other sizes where those may vary; for inputs
            of which not every value will do, such as the edges of a graph.
        batches: batch sizes to check (and time) at; without ``dynamic_batch`` or with ``samples`` it is the
            example's own.
        timed: also measure the median time per call at each batch size (:func:`time_onnx`).

    Returns:
        What was written, with the largest relative difference.

    Raises:
        FileError: ONNX cannot express the model, the batch cannot vary, the check fails, or the disk refuses.
    """
    model = network(model)
    arguments = bind(model, inputs)
    size = batch_size(arguments)
    dynamic = dynamic_batch and bool(size) and dynamic_shapes is None
    sizes = tuple(batches) if dynamic and not samples else (size or 1,)
    shapes = named_shapes(model, arguments, dynamic_shapes) if dynamic_shapes is not None else None
    checked = [bind(model, sample) for sample in samples] or fresh_samples(model, arguments, sizes)
    with atomic(path) as temporary:
        recorded = None
        try:
            _write(model, inputs, temporary, dynamic, shapes)
            session, difference = _opened(model, temporary, checked if check else None)
        except FileError:
            if not check or shapes:
                raise
            recorded = _recorded(model, inputs, temporary, dynamic, checked)
            if recorded is None:
                raise
            session, difference = recorded
        seconds = time_onnx({"model": temporary}, arguments, batches=sizes)["model"] if timed else {}
    takes = {str(item.name): tuple(item.shape) for item in session.get_inputs()}
    gives = tuple(str(item.name) for item in session.get_outputs())
    return Exported(
        Path(path),
        Path(path).stat().st_size,
        difference,
        sizes,
        tuple(takes),
        gives,
        takes,
        seconds,
        recorded is not None,
    )


def _write(
    model: nn.Module, inputs: Inputs, path: Path, dynamic: bool, shapes: dict[str, Any] | None
) -> None:
    args, kwargs = example(model, inputs) if dynamic or shapes else bind(model, inputs)
    if dynamic:
        shapes = batch_shapes(model, (args, kwargs), "batch")
    try:
        loops = loops_over_time() if shapes and not dynamic else nullcontext()
        with quiet(), torch.no_grad(), evaluating(model), loops:
            program = onnx_program(model, args, kwargs, shapes)
        # torch notes the stack trace of every node: paths of this machine, which nobody else needs.
        for node in program.model.graph:
            node.metadata_props.clear()
        program.save(path, external_data=False)
    except OSError:
        raise
    except Exception as error:
        hint = "; if its batch cannot vary, pass dynamic_batch=False" if dynamic else ""
        if shapes and not dynamic:
            hint = "; if one of its sizes cannot vary, leave it out of dynamic_shapes"
        raise FileError(f"ONNX cannot express {type(model).__name__}: {first_line(error)}{hint}") from error


def _recorded(
    model: nn.Module, inputs: Inputs, path: Path, dynamic: bool, checked: Sequence[Arguments]
) -> tuple[Any, float | None] | None:
    try:
        with quiet(), torch.no_grad(), evaluating(model):
            arguments = example(model, inputs) if dynamic else bind(model, inputs)
            write_recorded(model, arguments, path, dynamic=dynamic)
        return _opened(model, path, checked)
    except OSError:
        raise
    except Exception:
        # Whatever the second exporter stumbles over, the first one's complaint is what there is to tell.
        return None


def _opened(model: nn.Module, path: Path, checked: Sequence[Arguments] | None) -> tuple[Any, float | None]:
    """Return a session and how far it is from PyTorch, at most the tolerance."""
    session = open_session(path)
    if checked is None:
        return session, None
    difference = onnx_difference(model, session, checked)
    if not difference <= TOLERANCE:
        raise FileError(
            f"the ONNX export of {type(model).__name__} differs from PyTorch by {difference:.1e} of the "
            f"largest output, at most {TOLERANCE:.0e} is accepted; nothing was written"
        )
    return session, difference
