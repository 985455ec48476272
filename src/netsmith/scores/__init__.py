"""Scores: how much each channel matters, one tensor per group of the structure graph.

====================  ===================  ================================================================
score                 needs                forward and backward passes
====================  ===================  ================================================================
magnitude, Random     nothing              none
SynFlow               shapes of inputs     1 forward, 1 backward
movement              a loss               1 forward, 1 backward
snip                  a loss               1 forward, 1 backward
taylor                a loss               1 forward, 1 backward
grasp                 a loss               1 forward, 1 backward, 1 through that backward
wanda                 a loss               1 forward
MajorityVoting        a loss               1 forward
LinearDependency      a loss               1 forward, then d³ operations per group of d channels
InformationGain       samples              1 forward, 1 backward per class
Shapley               a loss               16 forwards per channel (two per coalition)
====================  ===================  ================================================================

Single weights are scored, for masks, by ``<score>_elements`` in the same files; all
are together in :mod:`netsmith.sparsity`.
"""

from netsmith.scores.grasp import grasp
from netsmith.scores.information_gain import InformationGain
from netsmith.scores.linear_dependency import LinearDependency
from netsmith.scores.magnitude import magnitude
from netsmith.scores.majority_voting import MajorityVoting
from netsmith.scores.movement import movement
from netsmith.scores.random import Random
from netsmith.scores.shapley import Shapley
from netsmith.scores.snip import snip
from netsmith.scores.synflow import SynFlow
from netsmith.scores.taylor import taylor
from netsmith.scores.wanda import wanda

__all__ = [
    "InformationGain",
    "LinearDependency",
    "MajorityVoting",
    "Random",
    "Shapley",
    "SynFlow",
    "grasp",
    "magnitude",
    "movement",
    "snip",
    "taylor",
    "wanda",
]
