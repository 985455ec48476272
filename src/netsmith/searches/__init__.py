"""Searches: structure that is found while, or before, weights are trained.

A search that learns from gradients is an ``nn.Module`` with logits beside its weights: the loop trains both,
``architecture()`` reads out what was found, and ``build()`` makes the network. It keeps its state in
``state_dict``. One that learns from values alone has ``ask`` and ``tell``
(:class:`netsmith.contracts.Search`).
"""

from netsmith.searches.alternation import Alternation, Paired, halves
from netsmith.searches.architecture import Architecture
from netsmith.searches.cost_loss import cost_loss
from netsmith.searches.expected_cost import ExpectedCost, Sizes
from netsmith.searches.interpolation import interpolate_channels
from netsmith.searches.transformable import TransformableSearch

__all__ = [
    "Alternation",
    "Architecture",
    "ExpectedCost",
    "Paired",
    "Sizes",
    "TransformableSearch",
    "cost_loss",
    "halves",
    "interpolate_channels",
]
