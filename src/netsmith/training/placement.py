"""Where training runs: device, precision, processes and memory format, all given back as found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Optimizer

from netsmith.errors import TrainingError, UnknownNameError

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = ("no", "bf16", "fp16")


@contextmanager
def accelerator_on(
    device: str | torch.device | None, precision: str
) -> Iterator[tuple[Accelerator, torch.device]]:
    """Give an Accelerator and the device to train on; None takes what Accelerate finds.

    Raises:
        UnknownNameError: a precision that is none of :data:`PRECISIONS`.
        TrainingError: a device that is not here, or fp16 on a CPU.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    try:
        wanted = None if device is None else torch.device(device)
    except RuntimeError as error:
        raise TrainingError(f"unknown device {device!r}; give cpu, cuda, cuda:0, mps or none") from error
    # Accelerate keeps one state per Python process; a caller's own is left alone, ours goes when we are done,
    # so that the next call can take another device or precision.
    ours, partial_ours = AcceleratorState._shared_state == {}, PartialState._shared_state == {}
    try:
        yield _accelerator(Accelerator, wanted, precision)
    finally:
        if ours:
            AcceleratorState._reset_state(reset_partial_state=partial_ours)


def _accelerator(
    kind: type[Accelerator], wanted: torch.device | None, precision: str
) -> tuple[Accelerator, torch.device]:
    cpu = wanted is not None and wanted.type == "cpu"
    try:
        accelerator = kind(cpu=cpu, mixed_precision=precision, device_placement=False)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"cannot train on {wanted} in precision {precision!r}: {reason}") from error
    found: torch.device = accelerator.device
    if wanted is not None and wanted.type != found.type:
        raise TrainingError(f"device {str(wanted)!r} is not available here, but {str(found)!r} is; use that")
    if precision == "fp16" and found.type == "cpu":
        raise TrainingError("precision 'fp16' needs a GPU; on a CPU use 'bf16' or 'no'")
    alone = accelerator.num_processes == 1
    return accelerator, wanted if alone and wanted is not None else found


@contextmanager
def placed(
    model: nn.Module, others: Sequence[nn.Module], optimizer: Optimizer, device: torch.device
) -> Iterator[None]:
    """Keep modules and optimiser on ``device``; afterwards devices, modes and memory format are as found.

    A model with 2-d convolutions trains in channels_last, which a ResNet-20's step likes on a CPU too (0.7 of
    the time at batch 128, one or two cores).
    """
    homes = [(module, _device_of(module)) for module in (model, *others)]
    modes = [(module, module.training) for module in model.modules()]
    images = any(isinstance(module, nn.Conv2d) for module in model.modules())
    kernels = [p for p in model.parameters() if images and p.dim() == 4 and p.is_contiguous()]
    try:
        for module, home in homes:
            _move_(module, home, device, optimizer)
        for kernel in kernels:
            kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for kernel in kernels:
            kernel.data = kernel.data.contiguous()
        for module, home in homes:
            _move_(module, device, home, optimizer)
        for module, mode in modes:
            module.training = mode


def _device_of(module: nn.Module) -> torch.device | None:
    first = next(chain(module.parameters(), module.buffers()), None)
    return None if first is None else first.device


def _move_(
    module: nn.Module, start: torch.device | None, end: torch.device | None, optimizer: Optimizer
) -> None:
    if start is not None and end is not None and start != end:
        module.to(end)
        # Loading its own state puts an optimiser's tensors where the parameters now are.
        optimizer.load_state_dict(optimizer.state_dict())
