"""Projections: maps from any tensor to an allowed one, with Frank–Wolfe twins.

Each comes as a pure function of tensors and as a small frozen class that holds the radius and fulfils
:class:`netsmith.contracts.Projection` and :class:`netsmith.contracts.LinearMinimiser`. The drivers of
:mod:`netsmith.drivers` make one hold while a network trains.

=============  ==============================================  =========================================
ball           bounds                                          what becomes exactly zero
=============  ==============================================  =========================================
L1Ball         ``Σ|w|``                                        single entries
L2Ball         ``‖w‖₂``                                        nothing
L21Ball        ``Σ_j ‖w_j‖₂``                                  whole columns or rows
NuclearBall    ``Σ σ_i(W)``                                    singular values: low rank
L11Ball        ``Σ|w|``, shared out by column or row first     whole columns or rows, and entries inside
=============  ==============================================  =========================================

All but :class:`L11Ball` give the nearest point of their ball.
"""

from __future__ import annotations

from netsmith.projections.l1 import L1Ball, l1_ball
from netsmith.projections.l2 import L2Ball, l2_ball
from netsmith.projections.l11 import L11Ball, l11_bilevel
from netsmith.projections.l21 import L21Ball, l21_ball
from netsmith.projections.nuclear import NuclearBall, nuclear_ball

__all__ = [
    "L1Ball",
    "L2Ball",
    "L11Ball",
    "L21Ball",
    "NuclearBall",
    "l1_ball",
    "l2_ball",
    "l11_bilevel",
    "l21_ball",
    "nuclear_ball",
]
