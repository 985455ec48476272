"""Whole methods made of public parts: each takes a :class:`Job` and returns a network within its budget."""

from __future__ import annotations

from netsmith.recipes.accelerated_imp import accelerated_imp
from netsmith.recipes.deephoyer import deephoyer
from netsmith.recipes.dnal import dnal
from netsmith.recipes.gradual_magnitude import gradual_magnitude
from netsmith.recipes.hfp import hfp
from netsmith.recipes.job import Job, Recipe
from netsmith.recipes.linear_dependency import linear_dependency
from netsmith.recipes.magnitude import magnitude
from netsmith.recipes.majority_voting import majority_voting
from netsmith.recipes.pruning_events import PruningEvents
from netsmith.recipes.random import random
from netsmith.recipes.reconstruction import reconstruction
from netsmith.recipes.rigl import rigl
from netsmith.recipes.scratch import scratch
from netsmith.recipes.shapley import shapley
from netsmith.recipes.structured_projections import structured_projections
from netsmith.recipes.tas import tas

__all__ = [
    "Job",
    "PruningEvents",
    "Recipe",
    "accelerated_imp",
    "deephoyer",
    "dnal",
    "gradual_magnitude",
    "hfp",
    "linear_dependency",
    "magnitude",
    "majority_voting",
    "random",
    "reconstruction",
    "rigl",
    "scratch",
    "shapley",
    "structured_projections",
    "tas",
]
