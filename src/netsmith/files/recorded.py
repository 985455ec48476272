"""ONNX from one recorded run, for models that ``torch.export`` cannot follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.files.inputs import Arguments, batch_size, by_name


def write_recorded(model: nn.Module, arguments: Arguments, path: Path, *, dynamic: bool) -> None:
    """Write what a model did in one run; branches its code took there are taken for ever.

    Whoever calls this compares the file with the model on other inputs afterwards.
    """
    inputs = dict(_named_tensors(model, arguments))
    batch = batch_size(arguments)
    varying = {
        name: {0: "batch"} for name, tensor in inputs.items() if tensor.dim() and tensor.shape[0] == batch
    }
    with _plain_attention(), _silent():
        torch.onnx.export(
            model,
            arguments[0],
            str(path),
            kwargs=arguments[1],
            dynamo=False,
            input_names=list(inputs),
            dynamic_axes=varying if dynamic else None,
        )


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep encoder layers off a fused operator that this exporter does not know."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _silent() -> Iterator[None]:
    """Hold back the whole graph, which the exporter writes to the standard output when it gives up."""
    log = getattr(torch._C, "_jit_onnx_log", None)
    if log is None:
        yield
        return
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = log


def _named_tensors(model: nn.Module, arguments: Arguments) -> Iterator[tuple[str, Tensor]]:
    for name, value in by_name(model, arguments).items():
        tensors: list[Any] = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
        for position, tensor in enumerate(tensors):
            yield (name if len(tensors) == 1 else f"{name}_{position}"), tensor
