"""Export to ONNX, checked against PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.contracts import Inputs
from netsmith.errors import FileError
from netsmith.files.atomic import atomic
from netsmith.files.inputs import (
    Arguments,
    Dims,
    batch_shapes,
    batch_size,
    bind,
    describe,
    example,
    fresh,
    named_shapes,
    with_batch,
)
from netsmith.files.messages import first_line
from netsmith.files.onnx_program import onnx_program
from netsmith.files.quiet import quiet
from netsmith.files.recurrent import loops_over_time
from netsmith.files.runtime import feed, open_session, time_onnx
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
    with atomic(path) as temporary:
        with quiet(), torch.no_grad(), evaluating(model):
            _write(model, inputs, temporary, dynamic, shapes)
        session = open_session(temporary)
        checked = [bind(model, sample) for sample in samples] or _fresh(model, arguments, sizes)
        difference = _difference(model, session, checked) if check else None
        if difference is not None and not difference <= TOLERANCE:
            raise FileError(
                f"the ONNX export of {type(model).__name__} differs from PyTorch by {difference:.1e} of the "
                f"largest output, at most {TOLERANCE:.0e} is accepted; nothing was written"
            )
        seconds = time_onnx({"model": temporary}, arguments, batches=sizes)["model"] if timed else {}
    takes = {str(item.name): tuple(item.shape) for item in session.get_inputs()}
    gives = tuple(str(item.name) for item in session.get_outputs())
    return Exported(
        Path(path), Path(path).stat().st_size, difference, sizes, tuple(takes), gives, takes, seconds
    )


def _write(
    model: nn.Module, inputs: Inputs, path: Path, dynamic: bool, shapes: dict[str, Any] | None
) -> None:
    args, kwargs = example(model, inputs) if dynamic or shapes else bind(model, inputs)
    if dynamic:
        shapes = batch_shapes(model, (args, kwargs), "batch")
    try:
        with loops_over_time() if shapes and not dynamic else nullcontext():
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


def _fresh(model: nn.Module, arguments: Arguments, batches: Sequence[int]) -> list[Arguments]:
    """Return new inputs; integers that the model does not take in any order stay those of the example."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in batches:
        resized = with_batch(arguments, size)
        drawn = fresh(resized, generator)
        try:
            with torch.no_grad(), evaluating(model):
                model(*drawn[0], **drawn[1])
        except Exception:
            drawn = fresh(resized, generator, integers=False)
        found.append(drawn)
    return found


def _difference(model: nn.Module, session: Any, samples: Sequence[Arguments]) -> float:
    differences = [0.0]
    for args, kwargs in samples:
        try:
            with torch.no_grad(), evaluating(model):
                expected = [t for t in tree_leaves(model(*args, **kwargs)) if isinstance(t, Tensor)]
            got = session.run(None, feed(session, (args, kwargs)))
        except Exception as error:
            raise FileError(
                f"the ONNX export cannot be checked on {describe((args, kwargs))}: {first_line(error)}"
            ) from error
        if len(expected) != len(got):
            raise FileError(f"the ONNX export has {len(got)} outputs, PyTorch has {len(expected)}")
        differences += [_relative(a, torch.as_tensor(b)) for a, b in zip(expected, got, strict=True)]
    return max(differences)


def _relative(expected: Tensor, got: Tensor) -> float:
    if expected.shape != got.shape:
        return float("inf")
    a, b = expected.detach().cpu().double(), got.double()
    finite = a.isfinite()
    # Where PyTorch gives an infinity or NaN, so must ONNX.
    if not torch.equal(a[~finite].nan_to_num(), b[~finite].nan_to_num()) or not bool(
        b[finite].isfinite().all()
    ):
        return float("inf")
    if not bool(finite.any()):
        return 0.0
    a, b = a[finite], b[finite]
    return float((a - b).abs().max() / a.abs().max().clamp_min(torch.finfo(torch.float32).tiny))
