"""Targets that are not plain labels: a teacher's outputs and features, maps of points to count."""

from netsmith.targets.density_map import count, counting_error, density_map
from netsmith.targets.distillation import Distillation, soft_cross_entropy
from netsmith.targets.structured_transfer import StructuredTransfer, pattern_transfer, relation_transfer

__all__ = [
    "Distillation",
    "StructuredTransfer",
    "count",
    "counting_error",
    "density_map",
    "pattern_transfer",
    "relation_transfer",
    "soft_cross_entropy",
]
