"""Scores: how much each channel matters, one tensor per group of the structure graph."""

from netsmith.scores.information_gain import InformationGain
from netsmith.scores.magnitude import magnitude
from netsmith.scores.random import Random

__all__ = ["InformationGain", "Random", "magnitude"]
