"""The training loop, for networks that are shaped while they learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD, AdamW, Optimizer

from netsmith.clock import Clock
from netsmith.contracts import Penalty
from netsmith.errors import TrainingError
from netsmith.training import placement, schedules
from netsmith.training.batches import Data, Epoch, epoch_batches
from netsmith.training.checkpoint import Checkpoints
from netsmith.training.finite import first_not_finite, last_good_weights
from netsmith.training.interrupt import Interrupt
from netsmith.training.progress import Progress, Record
from netsmith.training.randomness import epoch_order, random_states_kept
from netsmith.training.recalibrate import recalibrate
from netsmith.training.run import Hook, Run

__all__ = ["Clock", "History", "default_optimizer", "epoch_order", "fit", "recalibrate"]


@dataclass
class History:
    """What a run of :func:`fit` went through; ``dataclasses.asdict`` makes it JSON."""

    epochs: list[Record] = field(default_factory=list)
    """Per epoch: epoch (from 1), loss and penalty (means over the steps), metric (None if there is none),
    learning_rate (of the last step), seconds, and the watched values."""


def fit(
    model: nn.Module,
    data: Data,
    *,
    loss: Callable[[nn.Module, Any], Tensor] | None = None,
    optimizer: Optimizer | None = None,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float | None = None,
    schedule: str | schedules.Schedule | None = "cosine",
    penalty: Penalty | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    after_step: Hook | None = None,
    after_epoch: Hook | None = None,
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str = "no",
    progress: bool = True,
) -> History:
    """Train ``model`` in place and return what happened, epoch by epoch.

    Each step minimises ``loss(model, batch) + penalty(model)``. A run is a function of its arguments: data
    order, augmentation and every random state start each epoch from (seed, epoch), so that a run that was
    stopped, at any point, and resumed ends in the same bits as one that was not (on the same machine and
    number of processes, as far as the kernels are deterministic). Runs on as many processes as
    ``accelerate launch`` or ``torchrun`` started; ``batch_size`` is shared out among them.

    Args:
        model: comes back on its device, in its modes and memory format, trained.
        data: a data set with a length, or a loader (then ``batch_size`` is the loader's).
        loss: ``(model, batch) -> scalar``; by default the cross entropy of (inputs, targets).
        optimizer: by default :func:`default_optimizer`; its learning rates are those of factor 1.
        epochs: passes over the data of the whole run, those before a resume included.
        learning_rate: replaces the optimiser's.
        schedule: "cosine" (5 % warm-up), "constant" (or None), or ``progress -> factor``; applied per step.
        penalty: ``model -> scalar``, reported on its own.
        augment: ``(inputs, generator) -> inputs``, on the device where the data is.
        evaluate: ``model -> number``, after every epoch, in eval mode without gradients, on every process.
        after_step: called with (model, clock) after every optimiser step; may change values, not shapes.
        after_epoch: the same, before the epoch is evaluated.
        watch: ``model -> {name: value}``, once per epoch, for the progress and the history.
        out: folder of ``checkpoint.pt``, written at the start and after every epoch.
        resume: go on from the checkpoint in ``out``, if there is one. A penalty or hook (or the object whose
            method it is) that has ``state_dict`` and ``load_state_dict`` is kept in it too.
        precision: "no", "bf16" or "fp16" (GPU only); parameters and penalty stay in float32.
        progress: a live bar on a terminal, one line per epoch elsewhere, on stderr.

    Raises:
        TrainingError: a loss or weight that is not finite (the model has the weights of the last good epoch
            again), or settings that make no sense.
        FileError: a checkpoint that cannot be written or read, is of another run, or is in the way.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the step is finished first, the checkpoint is of the last epoch.
    """
    _require_sense(model, epochs, seed)
    optimizer = optimizer or default_optimizer(model)
    _require_same_parameters(optimizer, model)
    name, factor = schedules.resolve(schedule)
    with ExitStack() as stack:
        accelerator, place = stack.enter_context(placement.accelerator_on(device, precision))
        others = [penalty] if isinstance(penalty, nn.Module) else []
        stack.enter_context(placement.placed(model, others, optimizer, place))
        stack.enter_context(random_states_kept(place))
        steps, batches = epoch_batches(data, batch_size, seed, accelerator)
        run = Run(
            model=model,
            optimizer=optimizer,
            loss=loss or _cross_entropy,
            schedule=factor,
            accelerator=accelerator,
            device=place,
            clock=Clock(0, steps, epochs),
            seed=seed,
            learning_rate=learning_rate,
            penalty=penalty,
            augment=augment,
            evaluate=evaluate,
            after_step=after_step,
            after_epoch=after_epoch,
            watch=watch,
        )
        stack.callback(run.restore_rates_)
        settings = {
            "epochs": epochs,
            "seed": seed,
            "steps per epoch": steps,
            "processes": accelerator.num_processes,
            "precision": precision,
            "schedule": name,
            "optimizer": type(optimizer).__name__,
            "learning rates": [float(rate) for rate in run.rates],
        }
        return _go(run, batches, Checkpoints(out, resume, settings), progress)


def _go(run: Run, batches: Epoch, checkpoints: Checkpoints, progress: bool) -> History:
    history, epochs = History(checkpoints.start(run)), run.clock.epochs
    shown = Progress(progress and run.accelerator.is_main_process, run.clock)
    with shown, Interrupt() as interrupt:
        for number in range(run.clock.epoch, epochs):
            where = f"epoch {number + 1} of {epochs} ({run.clock.steps_per_epoch} steps each)"
            advice = (
                f"the model has its weights of {number} epochs again; try a lower learning_rate "
                f"(now {float(run.rates[0]):g}), a smaller penalty strength, or precision='no'"
            )
            with last_good_weights(run.model, where, advice):
                record = run.epoch(batches(number), shown, interrupt)
            history.epochs.append(record)
            checkpoints.save(run, history.epochs)
            shown.epoch(record)
            interrupt.check()
    return history


def default_optimizer(model: nn.Module) -> Optimizer:
    """Return an optimiser for all parameters that want a gradient.

    With batch norm SGD at 0.1, Nesterov momentum 0.9 and weight decay 5e-4 (Zagoruyko & Komodakis 2016,
    arXiv:1605.07146), else AdamW at 1e-3 with weight decay 0.01 (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Raises:
        TrainingError: there is nothing to train.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError(
            f"no parameter of {type(model).__name__} wants a gradient; set requires_grad on what is to learn"
        )
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return AdamW(parameters, lr=1e-3, weight_decay=0.01)


def _cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    if not (isinstance(batch, list | tuple) and len(batch) == 2):
        raise TrainingError(
            f"the default loss wants (inputs, targets) batches, got a {type(batch).__name__}; pass a loss"
        )
    return F.cross_entropy(model(batch[0]), batch[1])


def _require_sense(model: nn.Module, epochs: int, seed: int) -> None:
    if epochs < 0 or seed < 0:
        raise TrainingError(f"epochs and seed are 0 or more, got epochs={epochs} and seed={seed}")
    name = first_not_finite(model)
    if name is not None:
        raise TrainingError(f"{name} holds NaN or infinity before training; start from finite weights")


def _require_same_parameters(optimizer: Optimizer, model: nn.Module) -> None:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(id(p) for p in model.parameters()):
        raise TrainingError(
            f"the {type(optimizer).__name__} given holds no parameter of the model; make one for this model, "
            "or after an edit let its state follow with ns.rebind"
        )
