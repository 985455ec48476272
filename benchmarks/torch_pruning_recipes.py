"""Torch-Pruning's pruners as recipes, so that they train, count and are compared as ours are.

    netsmith compare --methods magnitude,benchmarks/torch_pruning_recipes.py:taylor ...

Each follows the library's own examples: global ranking of coupled groups, many small steps until the budget
holds, the classifier left whole. The pruners that regularise train sparsely for the first half of the epochs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from netsmith import trace
from netsmith.cost import Cost
from netsmith.recipes import Job
from netsmith.train import default_optimizer

STEPS = 100
"""How many steps the way from the whole network to nothing is cut into."""
SAMPLES = 256
"""Training images that gradients are taken from at every step."""


def magnitude(job: Job) -> nn.Module:
    """GroupMagnitudeImportance, the library's default: cut, then fine-tune for all epochs."""
    _cut(job, tp.pruner.BasePruner(importance=tp.importance.GroupMagnitudeImportance(p=2), **_shared(job)))
    job.fit(job.model, epochs=job.epochs, stage="finetune")
    return job.model


def bn_scale(job: Job) -> nn.Module:
    """BNScalePruner: an l1 penalty on the scales of batch norm, cut by them, fine-tune."""
    pruner = tp.pruner.BNScalePruner(importance=tp.importance.BNScaleImportance(), **_shared(job))
    return _sparse_then_cut(job, pruner, lambda: pruner.regularize(job.model))


def group_norm(job: Job) -> nn.Module:
    """GroupNormPruner, the method of the DepGraph paper: growing shrinkage of weak groups, cut, fine-tune."""
    pruner = tp.pruner.GroupNormPruner(importance=tp.importance.GroupMagnitudeImportance(p=2), **_shared(job))
    return _sparse_then_cut(job, pruner, lambda: pruner.regularize(job.model))


def taylor(job: Job) -> nn.Module:
    """GroupTaylorImportance: |weight x gradient|, gradients anew at every step."""
    importance = tp.importance.GroupTaylorImportance()
    images, labels = _samples(job)

    def gradients() -> None:
        job.model.zero_grad()
        F.cross_entropy(job.model(images), labels).backward()

    _cut(job, tp.pruner.BasePruner(importance=importance, **_shared(job)), gradients)
    job.fit(job.model, epochs=job.epochs, stage="finetune")
    return job.model


def hessian(job: Job) -> nn.Module:
    """GroupHessianImportance: weight² x mean squared gradient per image, an eighth of the images a step."""
    importance = tp.importance.GroupHessianImportance()
    images, labels = (tensor[: SAMPLES // 8] for tensor in _samples(job))

    def gradients() -> None:
        importance.zero_grad()
        for image, label in zip(images, labels, strict=True):
            job.model.zero_grad()
            F.cross_entropy(job.model(image[None]), label[None]).backward()
            importance.accumulate_grad(job.model)

    _cut(job, tp.pruner.BasePruner(importance=importance, **_shared(job)), gradients)
    job.fit(job.model, epochs=job.epochs, stage="finetune")
    return job.model


def _shared(job: Job) -> dict[str, Any]:
    last = [module for module in job.model.modules() if isinstance(module, nn.Linear)][-1]
    return {
        "model": job.model,
        "example_inputs": job.inputs,
        "global_pruning": True,
        "pruning_ratio": 1.0,
        "iterative_steps": STEPS,
        "ignored_layers": [last],
    }


def _samples(job: Job) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = job.task.train.tensors
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(job.seed))[:SAMPLES]
    return images[chosen], labels[chosen]


def _sparse_then_cut(job: Job, pruner: Any, regularize: Callable[[], None]) -> nn.Module:
    epochs = job.epochs // 2
    optimizer = default_optimizer(job.model)
    optimizer.register_step_pre_hook(lambda *_: regularize())
    pruner.update_regularizer()
    job.fit(job.model, epochs=epochs, optimizer=optimizer, schedule="constant", stage="sparse")
    _cut(job, pruner)
    job.fit(job.model, epochs=job.epochs - epochs, stage="finetune")
    return job.model


def _cut(job: Job, pruner: Any, before_step: Callable[[], None] = lambda: None) -> None:
    """Prune step by step until the budget holds, counted as for every other method."""
    job.model.eval()
    whole = Cost(trace(job.model, job.inputs)).total()
    limits = job.budget.limits(whole)
    while any(Cost(trace(job.model, job.inputs)).total()[kind] > limit for kind, limit in limits.items()):
        before_step()
        pruner.step()
    job.model.zero_grad()
