"""The channel attentions that the ablation of ECA-Net compares, by their names there."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.layers.vision.channel_gate import ChannelGate
from netsmith.layers.vision.efficient_channel_attention import EfficientChannelAttention
from netsmith.layers.vision.squeeze_excitation import SqueezeExcitation

KINDS: dict[str, Callable[[int, int | None], nn.Module]] = {
    "eca": lambda channels, kernel: EfficientChannelAttention(channels, kernel=kernel),
    "eca-ns": lambda channels, kernel: EfficientChannelAttention(channels, kernel=kernel, shared=False),
    "se": lambda channels, _: SqueezeExcitation(channels),
    "se-var1": lambda channels, _: ChannelGate(channels, mixing="none"),
    "se-var2": lambda channels, _: ChannelGate(channels, mixing="diagonal"),
    "se-var3": lambda channels, _: ChannelGate(channels, mixing="full"),
    "se-gc": lambda channels, _: ChannelGate(channels, mixing="blocks"),
}
SLIDING = ("eca", "eca-ns")


def channel_attention(kind: str, channels: int, *, kernel: int | None = None) -> nn.Module:
    """Return a new channel attention: ``eca``, ``eca-ns``, ``se``, ``se-gc``, ``se-var1`` to ``se-var3``.

    Args:
        kind: which.
        channels: of the maps it will scale.
        kernel: of those that have one (``eca``, ``eca-ns``); default by the paper's rule.

    Raises:
        UnknownNameError: no such kind.
        NetsmithError: a kernel for another kind, or what the layer refuses.

    Example:
        >>> channel_attention("eca", 64)
        EfficientChannelAttention(kernel=3, shared=True)
    """
    if kind not in KINDS:
        raise UnknownNameError("channel attention", kind, KINDS)
    if kernel is not None and kind not in SLIDING:
        raise NetsmithError(f"kernel={kernel}: {kind!r} has none; give it with {' or '.join(SLIDING)}")
    return KINDS[kind](channels, kernel)
