"""Layers: ordinary modules that a network keeps after it has been shaped."""

from netsmith.layers.multihead_attention import MultiheadAttention

__all__ = ["MultiheadAttention"]
