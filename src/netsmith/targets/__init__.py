"""Targets that come from somewhere else than the labels: a teacher's outputs and features."""

from netsmith.targets.distillation import Distillation, soft_cross_entropy
from netsmith.targets.structured_transfer import StructuredTransfer, pattern_transfer, relation_transfer

__all__ = [
    "Distillation",
    "StructuredTransfer",
    "pattern_transfer",
    "relation_transfer",
    "soft_cross_entropy",
]
