"""How far an ONNX file is from the PyTorch model it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.errors import FileError
from netsmith.files.inputs import Arguments, describe, fresh, with_batch
from netsmith.files.messages import first_line
from netsmith.files.runtime import feed
from netsmith.modes import evaluating


def fresh_samples(model: nn.Module, arguments: Arguments, batches: Sequence[int]) -> list[Arguments]:
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


def onnx_difference(model: nn.Module, session: Any, samples: Sequence[Arguments]) -> float:
    """Return the largest relative difference over all outputs for all samples.

    Raises:
        FileError: one of the two does not run on a sample, or they have different numbers of outputs.
    """
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
        differences += [relative(a, torch.as_tensor(b)) for a, b in zip(expected, got, strict=True)]
    return max(differences)


def relative(expected: Tensor, got: Tensor) -> float:
    """Return ``|got - expected| / max |expected|``, infinite where only one of them is finite."""
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
