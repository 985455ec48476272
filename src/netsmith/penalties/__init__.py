"""Penalties: differentiable measures of structure, ``model -> scalar``, added to the task loss."""

from __future__ import annotations

from netsmith.penalties.group_hoyer_square import GroupHoyerSquare, group_hoyer_square
from netsmith.penalties.group_lasso import GroupLasso
from netsmith.penalties.hoyer import Hoyer, hoyer
from netsmith.penalties.hoyer_square import HoyerSquare, hoyer_square
from netsmith.penalties.l1 import L1
from netsmith.penalties.transformed_l1 import TransformedL1, transformed_l1

__all__ = [
    "L1",
    "GroupHoyerSquare",
    "GroupLasso",
    "Hoyer",
    "HoyerSquare",
    "TransformedL1",
    "group_hoyer_square",
    "hoyer",
    "hoyer_square",
    "transformed_l1",
]
