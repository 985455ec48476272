"""What a sparse network would compute if nothing were multiplied by zero."""

from __future__ import annotations

from torch import nn

from netsmith.contracts import Inputs
from netsmith.cost.counting import Cost
from netsmith.graph.tracing import trace
from netsmith.wrappers import unwrapped


def nonzero_macs(model: nn.Module, inputs: Inputs) -> float:
    """Return the multiply-accumulates with weights that are not zero, for the inputs with their batch.

    Each operation counts with the share of its weights that are not zero; a product of two activations
    counts whole. What a kernel that skips zeros could do at best: dense kernels, PyTorch's among them, do
    all of ``ns.profile(model, inputs).total["macs"]``.

    Args:
        model: any module that runs; left as found.
        inputs: one tensor, a tuple of positional arguments, or a dict of keyword arguments.

    Raises:
        TraceError: the model does not run on the inputs.

    >>> import torch
    >>> layer = nn.Linear(4, 3)
    >>> _ = layer.weight.data[0].zero_()
    >>> nonzero_macs(layer, torch.zeros(2, 4))
    16.0
    """
    graph = trace(model, inputs)
    cost = Cost(graph)
    weights = {name: weight for name, weight in unwrapped(model).named_parameters() if weight.dim() >= 2}
    total = 0.0
    for operation in graph.operations:
        own = [weights[name].detach() for name in operation.parameters if name in weights]
        entries = sum(weight.numel() for weight in own)
        left = sum(int(weight.count_nonzero()) for weight in own) / entries if entries else 1.0
        total += cost.macs(operation) * left if operation.scale else 0.0
    return total
