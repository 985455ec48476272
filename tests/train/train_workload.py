"""A small run with every source of randomness in it, for the tests and for the processes they start.

As a script: ``train_workload.py OUT RESUME [STOP_AT]``; it prints a digest of what the run ended in.
"""

from __future__ import annotations

import hashlib
import random
import signal
import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from netsmith.clock import Clock
from netsmith.train import History, fit

EPOCHS = 4
STEPS = 6


def make_data(samples: int = 100) -> TensorDataset:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(samples, 1, 6, 6, generator=generator)
    return TensorDataset(inputs, (inputs.mean(dim=(1, 2, 3)) > 0).long())


def make_model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 2)
        )


def noisy_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    weight = 1 + 0.1 * random.random() + 0.1 * float(np.random.rand())
    return weight * nn.functional.cross_entropy(model(batch[0]), batch[1])


def jitter(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)


class Averager:
    """An after_step hook with a state of its own: pulls the weights towards their running average."""

    def __init__(self) -> None:
        self.mean: Tensor | None = None

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        weight = model[-1].weight
        with torch.no_grad():
            self.mean = weight.clone() if self.mean is None else self.mean.lerp(weight, 0.1)
            weight.lerp_(self.mean, 0.01)

    def state_dict(self) -> dict[str, Tensor | None]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Tensor | None]) -> None:
        self.mean = state["mean"]


def penalty(model: nn.Module) -> Tensor:
    return 1e-3 * model[0].weight.abs().sum()


def run(
    out=None, resume=False, model=None, optimizer=None, data=None, **settings
) -> tuple[nn.Module, History]:
    model = model or make_model()
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=0.01)
    arguments = {
        "loss": noisy_loss,
        "optimizer": optimizer,
        "epochs": EPOCHS,
        "batch_size": 16,
        "penalty": penalty,
        "augment": jitter,
        "after_step": Averager(),
        "evaluate": lambda m: float(m[-1].weight.norm()),
        "out": out,
        "resume": resume,
        "seed": 3,
        "device": "cpu",
        "progress": False,
    }
    history = fit(model, data or make_data(), **(arguments | settings))
    return model, history


def digest(model: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> str:
    """Hash the bits of weights, buffers and optimiser state, and all of the history but the seconds."""
    found = hashlib.sha256()
    states = [model.state_dict(), *(optimizer.state_dict()["state"].values())]
    for state in states:
        for name, tensor in state.items():
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            found.update(tensor.detach().contiguous().numpy().tobytes())
    for epoch in history.epochs:
        found.update(repr([(k, v) for k, v in epoch.items() if k != "seconds"]).encode())
    return found.hexdigest()


def run_digest(**settings) -> str:
    model = settings.pop("model", None) or make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    return digest(model, optimizer, run(model=model, optimizer=optimizer, **settings)[1])


class WaitingAverager(Averager):
    """The same hook, which at one step tells the parent process so, and waits for its answer."""

    def __init__(self, stop_at: int) -> None:
        super().__init__()
        self.stop_at = stop_at

    def __call__(self, model: nn.Module, clock: Clock) -> None:
        super().__call__(model, clock)
        if clock.step == self.stop_at:
            print("waiting", flush=True)
            sys.stdin.readline()


def main(out: str, resume: str, stop_at: str = "0") -> None:
    # A process started in the background may have inherited an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    model = make_model(seed=int(resume == "resume"))
    try:
        print(
            run_digest(
                model=model, out=out, resume=resume == "resume", after_step=WaitingAverager(int(stop_at))
            )
        )
    except KeyboardInterrupt as interrupt:
        print(interrupt)
        sys.exit(130)


if __name__ == "__main__":
    main(*sys.argv[1:])
