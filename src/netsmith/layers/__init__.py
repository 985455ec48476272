"""Layers: ordinary modules that a network keeps after it has been shaped."""

from netsmith.layers.multihead_attention import MultiheadAttention
from netsmith.layers.pass_through import PassThrough
from netsmith.layers.residual import Residual

__all__ = ["MultiheadAttention", "PassThrough", "Residual"]
