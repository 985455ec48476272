"""One training run: its step, its epoch, and everything that has to be kept to go on later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsmith.clock import Clock
from netsmith.errors import TrainingError
from netsmith.training.finite import Losses
from netsmith.training.interrupt import Interrupt
from netsmith.training.progress import Progress, Record
from netsmith.training.randomness import Stream, derive_seed, seed_epoch_
from netsmith.training.schedules import Schedule

if TYPE_CHECKING:
    from accelerate import Accelerator

Hook = Callable[[nn.Module, Clock], object]


@dataclass(kw_only=True)
class Run:
    """The moving parts of :func:`netsmith.train.fit`."""

    model: nn.Module
    optimizer: Optimizer
    loss: Callable[[nn.Module, Any], Tensor]
    schedule: Schedule
    accelerator: Accelerator
    device: torch.device
    clock: Clock
    seed: int
    learning_rate: float | None = None
    penalty: Callable[[nn.Module], Tensor] | None = None
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    evaluate: Callable[[nn.Module], float] | None = None
    after_step: Hook | None = None
    after_epoch: Hook | None = None
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        self._found_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.rates = [
            rate if self.learning_rate is None else self.learning_rate for rate in self._found_rates
        ]
        self._forward: nn.Module = self.model
        if self.accelerator.num_processes > 1:
            devices = None if self.device.type == "cpu" else [self.device]
            self._forward = nn.parallel.DistributedDataParallel(self.model, device_ids=devices)

    def epoch(self, batches: Iterable[Any], progress: Progress, interrupt: Interrupt) -> Record:
        """Go through the data once, evaluate, and return the epoch's record.

        Raises:
            FloatingPointError: a loss that is not finite.
            TrainingError: the loader gave another number of batches than it said.
            KeyboardInterrupt: a signal came; the step it fell into was finished.
        """
        began, number = time.perf_counter(), self.clock.epoch
        loss, penalty = self._go_through(batches, progress, interrupt)
        steps = self.clock.step - number * self.clock.steps_per_epoch
        if steps != self.clock.steps_per_epoch:
            raise TrainingError(
                f"the data said {self.clock.steps_per_epoch} batches and gave {steps}; correct its __len__"
            )
        self._agree()
        if self.after_epoch is not None:
            self.after_epoch(self.model, self.clock)
        self.model.eval()
        with torch.no_grad():
            metric = None if self.evaluate is None else float(self.evaluate(self.model))
            watched = {} if self.watch is None else {k: float(v) for k, v in self.watch(self.model).items()}
        return {
            "epoch": number + 1,
            "loss": loss,
            "penalty": None if self.penalty is None else penalty,
            "metric": metric,
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            **watched,
            "seconds": time.perf_counter() - began,
        }

    def _go_through(
        self, batches: Iterable[Any], progress: Progress, interrupt: Interrupt
    ) -> tuple[float, float]:
        number, process = self.clock.epoch, self.accelerator.process_index
        seed_epoch_(self.seed, number, process)
        noise = derive_seed(self.seed, Stream.AUGMENT, number, process)
        losses, generator = Losses(self.accelerator, self.device), None
        self.model.train()
        for batch in batches:
            if self.augment is not None:
                inputs, *rest = batch
                generator = generator or torch.Generator(inputs.device).manual_seed(noise)
                batch = (self.augment(inputs, generator), *rest)
            losses.add(*self.step(batch))
            progress.step(number, losses.means[0])
            interrupt.check()
        losses.flush()
        return losses.means

    def step(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Take one optimiser step; return the task loss and the penalty."""
        from accelerate.utils import recursively_apply, send_to_device

        factor = self.schedule(self.clock.progress)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        batch = recursively_apply(_channels_last, send_to_device(batch, self.device))
        with self.accelerator.autocast():
            loss = self.loss(self._forward, batch)
        penalty = None if self.penalty is None else self.penalty(self.model)
        self.accelerator.backward(loss if penalty is None else loss + penalty)
        self._update()
        self.optimizer.zero_grad(set_to_none=True)
        self.clock = replace(self.clock, step=self.clock.step + 1)
        if self.after_step is not None:
            self.after_step(self.model, self.clock)
        return loss, penalty

    def _update(self) -> None:
        if self.accelerator.scaler is None:
            self.optimizer.step()
        else:
            self.accelerator.scaler.step(self.optimizer)
            self.accelerator.scaler.update()

    def _agree(self) -> None:
        """Give every process the weights and statistics of the first one."""
        if self.accelerator.num_processes > 1:
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                torch.distributed.broadcast(tensor.detach(), src=0)

    def restore_rates_(self) -> None:
        """Put the optimiser's learning rates back to what they were before the run."""
        for group, rate in zip(self.optimizer.param_groups, self._found_rates, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return all that training changes; random states are a function of seed and epoch."""
        scaler = self.accelerator.scaler
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "hooks": {name: owner.state_dict() for name, owner in self._stateful()},
            "step": self.clock.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        for name, owner in self._stateful():
            owner.load_state_dict(state["hooks"][name])
        self.clock = replace(self.clock, step=state["step"])

    def _stateful(self) -> list[tuple[str, Any]]:
        """Return what keeps a state of its own: a hook, or the object whose method it is."""
        hooks = {"penalty": self.penalty, "after_step": self.after_step, "after_epoch": self.after_epoch}
        owners = ((name, getattr(hook, "__self__", hook)) for name, hook in hooks.items())
        return [(name, owner) for name, owner in owners if hasattr(owner, "load_state_dict")]


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.dim() == 4 and tensor.is_floating_point():
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor
