"""Analysis: which inputs, parts or samples a result is due to."""

from __future__ import annotations

from netsmith.analysis.feature_shapley import feature_shapley
from netsmith.analysis.multilinear import diagonal_slopes, enumerate_coalitions, exact_shapley
from netsmith.analysis.quadrature import quadrature
from netsmith.analysis.shapley import ShapleyEstimate, shapley

__all__ = [
    "ShapleyEstimate",
    "diagonal_slopes",
    "enumerate_coalitions",
    "exact_shapley",
    "feature_shapley",
    "quadrature",
    "shapley",
]
