"""Votes: every example compares the activations of a layer and votes for some of its neurons."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["winner", "topk", "mean", "copeland"]
RULES = ("winner", "topk", "mean", "copeland")
BLOCK = 1 << 24
"""How many comparisons are made at a time."""


def tally(activations: Tensor, rule: Rule, share: float = 0.1) -> Tensor:
    """Return the votes that examples cast for neurons.

    ``"winner"``: one vote of each example for its largest activation; ``"topk"``: one for each of its
    ``ceil(share * d)`` largest; ``"mean"``: one for each above the mean of its layer; ``"copeland"``: which
    neurons are larger than which. Equal activations share the votes that are left for them. Nobody votes for
    an activation of 0 or minus infinity, so that a neuron that is never active has none.

    Args:
        activations: ``[examples, d]``, not negative unless :func:`standardised`.
        rule: the rule.
        share: of the neurons that ``"topk"`` votes for, above 0 up to 1.

    Returns:
        Votes ``[d]``; for ``"copeland"`` ``[d, d]``, on how many examples the first neuron beats the second.

    >>> h = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    >>> tally(h, "winner").tolist(), tally(h, "mean").tolist(), tally(h, "topk", 0.5).tolist()
    ([1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 2.0, 1.0])
    """
    active = (activations != 0) & activations.isfinite()
    if rule == "copeland":
        d = activations.shape[1]
        wins = torch.zeros(d, d, dtype=torch.float64, device=activations.device)
        for block in torch.split(activations, max(1, BLOCK // (d * d))):
            wins += (block[:, :, None] > block[:, None]).sum(0)
        return wins
    if rule == "mean":
        known = torch.where(activations.isfinite(), activations, torch.nan)
        chosen = active & (activations > known.nanmean(1, keepdim=True))
        return chosen.sum(0, dtype=torch.float64)
    count = 1 if rule == "winner" else math.ceil(share * activations.shape[1])
    bar = activations.topk(count, dim=1).values[:, -1:]
    above, level = activations > bar, activations == bar
    left = (count - above.sum(1, keepdim=True)) / level.sum(1, keepdim=True)
    return ((above + level * left.double()) * active).sum(0)


def votes_of(tallied: Tensor, rule: Rule) -> Tensor:
    """Return the votes ``[d]`` in a tally; for ``"copeland"`` how many others a neuron beats by majority.

    A majority is of the examples that tell the two apart: behind a ReLU most neurons are both 0 on many.

    >>> votes_of(tally(torch.tensor([[3.0, 1.0, 0.0], [0.5, 2.0, 1.0]]), "copeland"), "copeland").tolist()
    [0.0, 1.0, 0.0]
    """
    return (tallied > tallied.T).sum(1).double() if rule == "copeland" else tallied


def standardised(activations: Tensor) -> Tensor:
    """Return activations ``[examples, d]`` minus their mean per neuron, over its deviation.

    A neuron that is the same on all examples tells nothing: minus infinity, for which nobody votes.

    >>> standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, -inf], [1.0, -inf]]
    """
    centred = activations - activations.mean(0)
    deviation = centred.square().mean(0).sqrt()
    # Rounding leaves a constant a tiny deviation, which must not be made large.
    steady = deviation <= 1e-6 * activations.abs().amax(0)
    return torch.where(steady, -torch.inf, centred / torch.where(steady, 1.0, deviation))
