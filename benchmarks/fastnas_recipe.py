"""ModelOpt's FastNAS as a recipe, so that it trains, counts and is compared as ours are.

    pip install --no-deps nvidia-modelopt torchprofile==0.0.4
    pip install omegaconf pulp nvidia-ml-py regex safetensors
    netsmith compare --methods magnitude,benchmarks/fastnas_recipe.py:fastnas ...

As in the library's own ResNet-20 example, the network after the search is fine-tuned for all epochs; widths
are sought in steps of 4 channels, because the default of 32 leaves nothing to choose in so narrow a network.
"""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import nn

from netsmith.recipes import Job

DIVISOR = 4
"""Widths are multiples of this many channels."""
SAMPLES = 512
"""Training images that the search scores a candidate on."""


def fastnas(job: Job) -> nn.Module:
    """Sensitivity of every layer to its width, then the binary search over one threshold for all of them."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        small = _searched(job)
    job.fit(small, epochs=job.epochs, stage="finetune")
    return small


def _searched(job: Job) -> nn.Module:
    import modelopt.torch.prune as mtp
    from modelopt.torch.prune.fastnas import FastNASConfig

    rules: dict[str, Any] = FastNASConfig().model_dump()
    for choices in rules.values():
        choices["*"].update({key: DIVISOR for key in choices["*"] if key.endswith("_divisor")})
    images, labels = job.task.train.tensors
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(job.seed))
    taken, held = order[:SAMPLES], order[SAMPLES : 2 * SAMPLES]
    batches = [images[part] for part in taken.split(128)]

    @torch.no_grad()
    def score(model: nn.Module) -> float:
        guesses = torch.cat([model(images[part]).argmax(1) for part in held.split(256)])
        return 100 * float((guesses == labels[held]).double().mean())

    model, _ = mtp.prune(
        model=job.model,
        mode=[("fastnas", rules)],
        constraints={"flops": f"{100 * job.budget.macs}%"},
        dummy_input=job.inputs,
        config={"data_loader": batches, "score_func": score, "collect_func": lambda batch: batch},
    )
    return model
