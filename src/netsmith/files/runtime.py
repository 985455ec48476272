"""Timing ONNX files against one another in ONNX Runtime."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils._pytree import tree_leaves

from netsmith.contracts import Inputs
from netsmith.errors import FileError
from netsmith.files.inputs import with_batch
from netsmith.files.messages import first_line

WARM_UP = 3


def time_onnx(
    paths: Mapping[str, str | os.PathLike[str]],
    inputs: Inputs,
    *,
    batches: Sequence[int] = (1, 32),
    repeats: int = 30,
    threads: int | None = None,
) -> dict[str, dict[int, float]]:
    """Return the median seconds per call of every file at every batch size, measured interleaved.

    One call of each file makes a round (A B C, then B C A, …), so that a machine that slows down or speeds up
    does it to all of them alike.

    Args:
        paths: ONNX files by name, for example ``{"before": …, "after": …}``.
        inputs: example inputs (tensor, tuple or dict), repeated or cut to each batch size.
        batches: batch sizes.
        repeats: rounds per batch size, after 3 rounds that do not count.
        threads: threads of one call; by default as many as ONNX Runtime chooses.

    Raises:
        FileError: a file cannot be read, or does not take the inputs.
    """
    if not paths or repeats < 1 or any(size < 1 for size in batches):
        raise FileError(
            f"time_onnx got {len(paths)} files, repeats={repeats}, batches={tuple(batches)}; expected some"
        )
    sessions = {name: open_session(path, threads) for name, path in paths.items()}
    measured: dict[str, dict[int, float]] = {name: {} for name in paths}
    for size in batches:
        resized = with_batch(inputs, size)
        feeds = {name: feed(session, resized) for name, session in sessions.items()}
        times: dict[str, list[float]] = {name: [] for name in paths}
        order = list(paths)
        for turn in range(WARM_UP + repeats):
            for name in order:
                seconds = _time(sessions[name], feeds[name], name)
                if turn >= WARM_UP:
                    times[name].append(seconds)
            order = order[1:] + order[:1]
        for name in paths:
            measured[name][size] = median(times[name])
    return measured


def open_session(path: str | os.PathLike[str], threads: int | None = None) -> Any:
    """Return an ONNX Runtime session on the CPU.

    Raises:
        FileError: the file is missing or ONNX Runtime cannot read it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(Path(path)), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FileError(f"ONNX Runtime cannot read {path}: {first_line(error)}") from error


def feed(session: Any, inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return ``inputs`` as ONNX Runtime takes them: a dict by name where it fits, else the tensors in order.

    Raises:
        FileError: the file has another number of inputs.
    """
    names = [item.name for item in session.get_inputs()]
    if isinstance(inputs, dict) and set(names) <= set(inputs):
        inputs = [inputs[name] for name in names]
    tensors = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
    if len(names) != len(tensors):
        raise FileError(
            f"the ONNX file takes {len(names)} inputs ({', '.join(names)}), got {len(tensors)} tensors"
        )
    return {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, tensors, strict=True)}


def _time(session: Any, inputs: Mapping[str, Any], name: str) -> float:
    start = time.perf_counter()
    try:
        session.run(None, inputs)
    except Exception as error:
        raise FileError(f"the ONNX file {name!r} does not take the inputs: {first_line(error)}") from error
    return time.perf_counter() - start
