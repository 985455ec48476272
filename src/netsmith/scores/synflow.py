"""SynFlow: how much of the flow through the network of absolute weights goes through a weight; no data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map_only

from netsmith.calling import call_arguments
from netsmith.cards import card
from netsmith.contracts import Inputs, Loss
from netsmith.errors import NetsmithError
from netsmith.graph import StructureGraph
from netsmith.modes import evaluating
from netsmith.scores.elements import Elements, by_channel, weights_of


def synflow_elements(model: nn.Module, inputs: Inputs) -> Elements:
    """Score each weight by ``|w| dR/d|w|`` with ``R = 1ᵀ Π_l |W_l| 1``, all outputs for inputs of ones.

    All parameters and buffers take part with their absolute values, in double precision. In a network without
    biases whose activations are ReLUs the scores of every layer have the same sum, R. One forward and one
    backward pass, in evaluation mode.

    Args:
        model: the model to score; left as found.
        inputs: only shapes count: what is floating-point is replaced by ones, token numbers stay.

    Raises:
        NetsmithError: the model's output has no floating-point tensor.
    """
    names = list(weights_of(model))
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        tensors = {name: _absolute(tensor) for name, tensor in tensors.items()}
        sources = [tensors[name].requires_grad_() for name in names]
        ones = tree_map_only(Tensor, _ones, inputs)
        output = functional_call(model, tensors, *call_arguments(ones))
        flows = [leaf.sum() for leaf in tree_leaves(output) if _floating(leaf) and leaf.requires_grad]
        if not flows:
            raise NetsmithError("synflow needs a model whose output is a floating-point tensor")
        slopes = torch.autograd.grad(sum(flows[1:], flows[0]), sources, materialize_grads=True)
    return {name: w.detach() * g for name, w, g in zip(names, sources, slopes, strict=True)}


@card(
    title="SynFlow: the flow through a channel, without data",
    paper="H. Tanaka, D. Kunin, D. Yamins, S. Ganguli, 2020, arXiv:2006.05467",
    venue="NeurIPS 2020",
    differs="a channel scores the sum over its weights; scored again after each cut only if you ask again",
)
class SynFlow:
    """Score each channel by the synaptic flow through the weights it owns.

    ``score(c) = Σ_{w of c} |w| dR/d|w|``, see :func:`synflow_elements`. One forward and one backward pass,
    no data. Cutting much at once may disconnect a layer that many small cuts, each scored anew, leave alone.

    Args:
        inputs: example inputs of the model; only their shapes count.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a tensor of shape ``[size]`` per group; the loss is not asked."""
        return by_channel(synflow_elements(model, self.inputs), graph)


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _absolute(tensor: Tensor) -> Tensor:
    return tensor.detach().abs().double() if tensor.is_floating_point() else tensor.detach().clone()


def _ones(tensor: Tensor) -> Tensor:
    return torch.ones_like(tensor, dtype=torch.float64) if tensor.is_floating_point() else tensor
