"""Taps: what chosen modules put out while a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from netsmith.errors import NetsmithError, UnknownNameError


@contextmanager
def tapped(model: nn.Module, paths: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of modules during the forward passes of the block, by path; the last one counts.

    Raises:
        UnknownNameError: the model has no module of that path.
        NetsmithError: a module puts out something else than one tensor, or one that is overwritten later.
    """
    modules = dict(model.named_modules())
    seen: dict[str, Tensor] = {}
    versions: dict[str, int] = {}
    hooks = []
    try:
        for path in paths:
            if path not in modules:
                raise UnknownNameError("module", path, modules)
            hooks.append(modules[path].register_forward_hook(partial(_keep, seen, versions, path)))
        yield seen
        for path, version in versions.items():
            if seen[path]._version != version:
                raise NetsmithError(
                    f"what module {path!r} puts out is overwritten in place later (by an in-place ReLU?); "
                    "tap the module that overwrites it"
                )
    finally:
        for hook in hooks:
            hook.remove()


def _keep(
    seen: dict[str, Tensor], versions: dict[str, int], path: str, module: nn.Module, _: object, output: object
) -> None:
    if not isinstance(output, Tensor):
        raise NetsmithError(
            f"module {path!r} puts out a {type(output).__name__}; tap one that puts out a tensor"
        )
    seen[path] = output
    if not output.is_inference():
        versions[path] = output._version
