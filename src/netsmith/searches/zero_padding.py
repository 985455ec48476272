"""Whether zeros can stand for channels that are missing: tried on the network, with random weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map_only

from netsmith.closeness import relative_difference, tolerance
from netsmith.contracts import Inputs
from netsmith.cutting.verify import masked_output, own_output
from netsmith.graph import StructureGraph
from netsmith.graph.running import tensors_in
from netsmith.searches.sites import Site, first_channels, install
from netsmith.searches.width_mixing import WidthChoice


def padded_exactly(
    model: nn.Module,
    inputs: Inputs,
    graph: StructureGraph,
    widths: Mapping[str, tuple[int, ...]],
    sites: Iterable[Site],
    order: Mapping[str, Tensor],
) -> list[str]:
    """Return the groups of which, at their smallest width, zeros give what the masked original gives.

    A sigmoid, for instance, makes something of zero, and a layer norm counts it in.
    """
    sites, generator = list(sites), torch.Generator().manual_seed(0)
    model, inputs = _shaken(model, generator), _noise_like(inputs, generator)

    def holds(names: Iterable[str]) -> bool:
        choices = {name: WidthChoice(widths[name]) for name in names}
        mixed = copy.deepcopy(model)
        install(mixed, sites, choices, order)
        for choice in choices.values():
            choice.set([0])
        got = tensors_in(own_output(mixed, inputs))
        keep = {name: first_channels(graph, name, widths[name][0], order) for name in choices}
        want = tensors_in(masked_output(model, inputs, graph, keep))
        pairs = zip(got, want, strict=True)
        return all(relative_difference(one, other) <= tolerance(other.dtype) for one, other in pairs)

    names = list(widths)
    if not names or holds(names):
        return names
    exact = [name for name in names if holds([name])]
    # Groups that are exact alone are so together, but for what nobody foresaw.
    while exact and not holds(exact):
        exact.pop()
    return exact


def _shaken(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Return a copy of a model in which nothing is zero by the habit of initialising."""
    shaken = copy.deepcopy(model).eval()
    with torch.no_grad():
        for parameter in shaken.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter))
        for module in shaken.modules():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                mean = module.running_mean
                mean.add_(0.1 * torch.randn(mean.shape, generator=generator).to(mean))
    return shaken


def _noise_like(inputs: Inputs, generator: torch.Generator) -> Inputs:
    def noise(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    return tree_map_only(Tensor, noise, inputs)
