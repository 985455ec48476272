"""Layers for images: attention over channels."""

from netsmith.layers.vision.channel_attention import KINDS, channel_attention
from netsmith.layers.vision.channel_gate import ChannelGate
from netsmith.layers.vision.efficient_channel_attention import (
    RELEASED_KERNELS,
    EfficientChannelAttention,
    adaptive_kernel,
)
from netsmith.layers.vision.squeeze_excitation import SqueezeExcitation

__all__ = [
    "KINDS",
    "RELEASED_KERNELS",
    "ChannelGate",
    "EfficientChannelAttention",
    "SqueezeExcitation",
    "adaptive_kernel",
    "channel_attention",
]
