"""He initialisation of a whole network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def he_init_(model: Network) -> Network:
    """Set every convolution and linear layer to ``N(0, 2 / fan_in)`` with zero bias, and return the model.

    Fan-in rather than fan-out, so that a depthwise convolution counts the inputs it really reads.
    Normalisation layers keep their ones and zeros. He et al. (2015), arXiv:1502.01852.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
