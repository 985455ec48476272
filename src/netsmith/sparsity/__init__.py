"""Sparsity of single weights: when, how much of a layer, by which criterion, what grows, what it takes.

=====================  ===================================================================================
when                   ``one_shot``, ``cubic``, ``cyclic``
how much of a layer    ``uniform``, ``erdos_renyi``, ``erdos_renyi_kernel``, or ``global_masks``
by which criterion     ``magnitudes``, ``<score>_elements``, ``obd_elements``, ``optimal_brain_surgeon``
into which pattern     ``global_masks``, ``layer_masks``, ``n_of_m_mask``, ``iterated_masks``
in training            ``GradualPruning``, ``SparseTraining`` (RigL, SET), :class:`netsmith.masks.hold`
in rounds of training  ``IterativeMagnitude``, ``LearningRateRewinding``, ``WeightRewinding``, ``FineTuning``
what it is worth       ``pruned_parameter_efficiency``, ``per_parameter``, ``per_operation``, ``slopes``
what it takes          :mod:`netsmith.sparsity.formats`, ``nonzero_macs``
=====================  ===================================================================================

Density counts what is scored or listed: weights of two or more dimensions, the first and last layer included,
no biases and no norms. A sparse network computes with the same dense kernels: zeros save bits, not time.
"""

from __future__ import annotations

from netsmith.scores.grasp import grasp_elements
from netsmith.scores.movement import movement_elements
from netsmith.scores.snip import snip_elements
from netsmith.scores.synflow import synflow_elements
from netsmith.scores.taylor import taylor_elements
from netsmith.scores.wanda import wanda_elements
from netsmith.sparsity.densities import erdos_renyi, erdos_renyi_kernel, uniform
from netsmith.sparsity.efficiency import (
    Point,
    per_operation,
    per_parameter,
    pruned_parameter_efficiency,
    slopes,
)
from netsmith.sparsity.gradual import GradualPruning, magnitudes
from netsmith.sparsity.iterating import iterated_masks
from netsmith.sparsity.iterative_magnitude import IterativeMagnitude
from netsmith.sparsity.n_of_m import n_of_m_bits, n_of_m_mask
from netsmith.sparsity.obd import obd_elements
from netsmith.sparsity.obs import optimal_brain_surgeon
from netsmith.sparsity.operations import nonzero_macs
from netsmith.sparsity.ranking import global_masks, layer_masks
from netsmith.sparsity.rewinding import FineTuning, LearningRateRewinding, Rewind, Round, WeightRewinding
from netsmith.sparsity.schedules import Schedule, cubic, cyclic, one_shot
from netsmith.sparsity.sparse_training import SparseTraining, drop_fraction
from netsmith.sparsity.survivors import survivors
from netsmith.sparsity.tickets import Ticket

__all__ = [
    "FineTuning",
    "GradualPruning",
    "IterativeMagnitude",
    "LearningRateRewinding",
    "Point",
    "Rewind",
    "Round",
    "Schedule",
    "SparseTraining",
    "Ticket",
    "WeightRewinding",
    "cubic",
    "cyclic",
    "drop_fraction",
    "erdos_renyi",
    "erdos_renyi_kernel",
    "global_masks",
    "grasp_elements",
    "iterated_masks",
    "layer_masks",
    "magnitudes",
    "movement_elements",
    "n_of_m_bits",
    "n_of_m_mask",
    "nonzero_macs",
    "obd_elements",
    "one_shot",
    "optimal_brain_surgeon",
    "per_operation",
    "per_parameter",
    "pruned_parameter_efficiency",
    "slopes",
    "snip_elements",
    "survivors",
    "synflow_elements",
    "taylor_elements",
    "uniform",
    "wanda_elements",
]
