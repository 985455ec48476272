"""Drivers: make any projection hold in training, in your own loop or in :func:`netsmith.train.fit`.

===================  ====================================================================================
driver               when the weights are allowed
===================  ====================================================================================
AfterStep            after every optimiser step or epoch
StraightThrough      in every forward pass; the optimiser keeps an unconstrained weight
ADMM                 in the limit; a penalty pulls them there
mask_and_retrain     projected once, then the zeros are held while the rest trains again
FrankWolfe           always, for balls: steps go towards vertices and need no projection
===================  ====================================================================================
"""

from __future__ import annotations

from netsmith.drivers.admm import ADMM
from netsmith.drivers.after_step import AfterStep, project_
from netsmith.drivers.frank_wolfe import FrankWolfe
from netsmith.drivers.mask_and_retrain import mask_and_retrain
from netsmith.drivers.selection import Select
from netsmith.drivers.straight_through import StraightThrough, straight_through_

__all__ = [
    "ADMM",
    "AfterStep",
    "FrankWolfe",
    "Select",
    "StraightThrough",
    "mask_and_retrain",
    "project_",
    "straight_through_",
]
