"""Per-sample derivatives by a gate m = 1 on every channel, placed where the channel is read.

A gate on the input of a linear layer or convolution acts as one on the weights that read the channel, and
costs one extra multiplication for a whole batch; readers of any other kind (raw parameters, parametrized or
grouped weights) have their weights gated instead, one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from netsmith.graph import Group, Slice, StructureGraph

Gradient = Callable[[Tensor], dict[str, Tensor]]
"""From a scalar, a sum over samples, to its derivative by every gate: ``[samples, size]`` per group."""
PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _Site(NamedTuple):
    """Modules that read with one weight, and which of its inputs belong to which channels."""

    modules: tuple[nn.Module, ...]
    gate: Tensor
    owners: list[tuple[str, Tensor]]


def readers(group: Group) -> list[Slice]:
    """Return the slices through which a group's channels are read."""
    return [one for one in group.slices if one.role == "in"]


def module_gates(model: nn.Module, graph: StructureGraph, samples: int) -> list[_Site] | None:
    """Return a gate ``[samples, inputs]`` per reading weight, or None when some reader is no plain module."""
    modules = dict(model.named_modules())
    sites: dict[str, _Site] = {}
    for group in graph.groups:
        for one in readers(group):
            path, _, attribute = one.tensor.rpartition(".")
            owner = modules.get(path)
            if attribute != "weight" or not _plain(owner) or one.dim != 1:
                return None
            assert isinstance(owner, nn.Module)
            weight = owner.get_parameter("weight")
            if one.tensor not in sites:
                sharing = tuple(
                    module for module in modules.values() if getattr(module, "weight", None) is weight
                )
                used = {modules[op.module] for op in graph.operations if one.tensor in op.parameters}
                if not all(map(_plain, sharing)) or not used <= {*sharing}:
                    return None
                gate = torch.ones(samples, weight.shape[1], device=weight.device, dtype=weight.dtype)
                sites[one.tensor] = _Site(sharing, gate.requires_grad_(), [])
            sites[one.tensor].owners.append((group.name, one.index))
    return list(sites.values())


class SamplesNotFirstError(Exception):
    """A gated module did not get its samples along the first dimension."""


@contextmanager
def gated_modules(sites: Sequence[_Site]) -> Iterator[Gradient]:
    """Multiply the inputs of the modules by their gates while the block runs."""
    handles = []
    try:
        for site in sites:
            for module in site.modules:
                handles.append(module.register_forward_pre_hook(_multiply(site.gate)))

        def gradient(scalar: Tensor) -> dict[str, Tensor]:
            gates = [site.gate for site in sites]
            found = torch.autograd.grad(scalar, gates, retain_graph=True, materialize_grads=True)
            total: dict[str, Tensor] = {}
            for site, grad in zip(sites, found, strict=True):
                for name, index in site.owners:
                    total[name] = total.get(name, 0) + grad[:, index.to(grad.device)].sum(-1)
            return total

        yield gradient
    finally:
        for handle in handles:
            handle.remove()


def gated_weights(model: nn.Module, graph: StructureGraph) -> tuple[dict[str, Tensor], Gradient]:
    """Return the reading weights times their gates, to call the model with, for one sample."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    gates: dict[str, Tensor] = {}
    gated: dict[str, Tensor] = {}
    for group in graph.groups:
        for one in readers(group):
            weight = gated.get(one.tensor, tensors[one.tensor].detach())
            if group.name not in gates:
                gates[group.name] = torch.ones(
                    group.size, device=weight.device, dtype=weight.dtype, requires_grad=True
                )
            index = one.index.to(weight.device)
            spread = gates[group.name].repeat_interleave(index.shape[1])
            factor = (
                torch.ones_like(spread[:1])
                .expand(weight.shape[one.dim])
                .index_copy(0, index.flatten(), spread)
            )
            shape = [1] * weight.dim()
            shape[one.dim] = -1
            gated[one.tensor] = weight * factor.view(shape)

    def gradient(scalar: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(scalar, list(gates.values()), retain_graph=True, materialize_grads=True)
        return {name: grad.unsqueeze(0) for name, grad in zip(gates, found, strict=True)}

    return gated, gradient


def _plain(module: Any) -> bool:
    return isinstance(module, PLAIN) and getattr(module, "groups", 1) == 1


def _multiply(gate: Tensor) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        given = arguments[0]
        if given.dim() < 2 or given.shape[0] != gate.shape[0]:
            raise SamplesNotFirstError
        spread = given.dim() - 2
        if isinstance(module, nn.Linear):
            return (given * gate.view(len(gate), *[1] * spread, -1), *arguments[1:])
        return (given * gate.view(len(gate), -1, *[1] * spread), *arguments[1:])

    return hook
