"""Layers: ordinary modules that a network keeps after it has been shaped."""

from netsmith.layers.multihead_attention import MultiheadAttention
from netsmith.layers.pass_through import PassThrough
from netsmith.layers.residual import Residual
from netsmith.layers.vision import (
    ChannelGate,
    EfficientChannelAttention,
    SqueezeExcitation,
    adaptive_kernel,
    channel_attention,
)

__all__ = [
    "ChannelGate",
    "EfficientChannelAttention",
    "MultiheadAttention",
    "PassThrough",
    "Residual",
    "SqueezeExcitation",
    "adaptive_kernel",
    "channel_attention",
]
