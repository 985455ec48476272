"""Random states that are a function of (seed, epoch), so that a resumed run needs none saved."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What a random state is for; two streams of one seed are independent of each other."""

    ORDER = 0
    GLOBAL = 1
    AUGMENT = 2


def derive_seed(seed: int, stream: Stream, epoch: int, process: int = 0) -> int:
    """Return a 32-bit seed, a pure function of the arguments (numpy's ``SeedSequence`` mixes them)."""
    return int(np.random.SeedSequence([seed, stream, epoch, process]).generate_state(1)[0])


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch goes through the data: a permutation ``[samples]``, on the CPU.

    >>> bool((epoch_order(5, seed=1, epoch=3) == epoch_order(5, seed=1, epoch=3)).all())
    True
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, Stream.ORDER, epoch))
    return torch.randperm(samples, generator=generator)


def seed_epoch_(seed: int, epoch: int, process: int) -> None:
    """Seed Python, numpy and torch (every device) for one epoch of one process."""
    from accelerate.utils import set_seed

    set_seed(derive_seed(seed, Stream.GLOBAL, epoch, process))


@contextmanager
def random_states_kept(device: torch.device) -> Iterator[None]:
    """Leave the random states of Python, numpy, torch and a CUDA ``device`` as they were found."""
    python, generator = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(generator)
