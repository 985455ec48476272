"""Sampling by Gumbel noise: a few different options at once, with weights that carry gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gumbel_like(logits: Tensor) -> Tensor:
    """Return standard Gumbel noise in the shape of ``logits``; draws that are not finite are made again."""
    while True:
        noise = -torch.empty_like(logits).exponential_().log()
        if bool(noise.isfinite().all()):
            return noise


def perturbed(logits: Tensor, temperature: float) -> Tensor:
    """Return ``(log softmax(logits) + Gumbel noise) / temperature``."""
    return (logits.log_softmax(dim=-1) + gumbel_like(logits.detach())) / temperature


def draw(logits: Tensor, temperature: float, samples: int) -> tuple[Tensor, Tensor]:
    """Draw different options and the weights they are mixed with.

    ``p = softmax((log softmax(logits) + Gumbel noise) / temperature)``; options are drawn from p without
    replacement, and their weights are p among those drawn (X. Dong, Y. Yang 2019, arXiv:1905.09717). As the
    temperature falls, the first option follows ``softmax(logits)`` and its weight goes to one.

    Args:
        logits: ``[options]``.
        temperature: above 0.
        samples: how many, from 1 to the number of options.

    Returns:
        Indices ``[samples]`` in the order in which they were drawn, and weights ``[samples]`` that sum to one
        and carry the gradient to the logits.
    """
    noisy = perturbed(logits, temperature)
    with torch.no_grad():
        # The largest of log p + Gumbel noise are draws from p without replacement, also where p underflows.
        log_odds = noisy.log_softmax(dim=-1)
        chosen = (log_odds + gumbel_like(log_odds)).topk(samples).indices
    return chosen, noisy[chosen].softmax(dim=-1)


def annealed(progress: float, first: float = 5.0, last: float = 0.1) -> float:
    """Return the temperature after a share of the search: half a cosine from ``first`` down to ``last``.

    >>> [round(annealed(share), 2) for share in (0.0, 0.5, 1.0)]
    [5.0, 2.55, 0.1]
    """
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
