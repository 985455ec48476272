"""Modules that only run another one: looked through, so that names are those of the network itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from netsmith.errors import NetsmithError


def unwrapped(model: Any) -> Any:
    """Return the network inside ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel``.

    Any other value comes back as it is. What edits hand back is the plain network: compiled code and the
    buckets of a process group belong to the shapes they were made for, so wrap the new network again.

    >>> unwrapped(nn.DataParallel(nn.Linear(2, 1)))
    Linear(in_features=2, out_features=1, bias=True)
    """
    compiled = getattr(sys.modules.get("torch._dynamo.eval_frame"), "OptimizedModule", ())
    while True:
        if isinstance(model, compiled):
            model = model._orig_mod
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            return model


def network(model: Any) -> nn.Module:
    """Return the network inside its wrappers.

    Raises:
        NetsmithError: there is none.
    """
    model = unwrapped(model)
    if not isinstance(model, nn.Module):
        given = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise NetsmithError(f"expected a torch.nn.Module, got {given}")
    return model


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled functions and submodules as the Python they were made from, where there are any."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    from torch.compiler import set_stance

    with set_stance("force_eager"), warnings.catch_warnings():
        # A hook that watches every module sees a compiled one twice, as itself and as what it wraps.
        warnings.filterwarnings("ignore", "Using `torch.compile.module.` when there are global hooks")
        yield
