"""A network with frozen weights that reads its channels through gates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.edits.copying import copy_with
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.gates.readers import gateable, reading_slices
from netsmith.graph import Group, StructureGraph
from netsmith.graph.anatomy import Anatomy
from netsmith.wrappers import network


class Gated(nn.Module):
    r"""Run a network with every channel multiplied by the gate of its group, wherever a weight reads it.

    .. math:: W'_{\cdot c} = a_c W_{\cdot c}

    for every weight W that sums over channel c: the same as a gate behind the channel's activation, and,
    because gates are not negative, as one between batch norm and a positively homogeneous activation (ReLU).
    Coupled channels share one gate: all that reads a residual sum reads it through the same one. A gate of 0
    is a removed channel, exactly. Only the gates learn. The weights are those of ``model``, which is left as
    it is; the running statistics of batch norms are copies of its own.

    Args:
        model: the network the graph was traced from.
        graph: its structure graph.
        gate: makes the gates of that many channels, as :class:`netsmith.gates.ScaledSigmoid` does.
        groups: names of the groups to gate; by default all that can be.
        learn: names of parameters that learn with the gates, as copies of the model's.

    Raises:
        NetsmithError: no group, or one of those named, can be gated by the weights that read it; or the graph
            is that of another model.
        UnknownNameError: the graph has no group, or the model no parameter, of this name.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> gated = Gated(net, ns.trace(net, torch.zeros(1, 4)), ns.gates.ScaledSigmoid)
        >>> gated.by_group(gated.gate.logits)
        {'0.weight:0': tensor([0., 0., 0.], grad_fn=<SplitBackward0>)}
    """

    _source: Tensor

    def __init__(
        self,
        model: nn.Module,
        graph: StructureGraph,
        gate: Callable[[int], nn.Module],
        *,
        groups: Iterable[str] | None = None,
        learn: Iterable[str] = (),
    ) -> None:
        super().__init__()
        model = network(model)
        gated, self.ungated = _chosen(graph, groups)
        """Why the other groups have no gates."""
        self.sizes = {group.name: group.size for group in gated}
        self.network = _twin(model, set(learn))
        self.gate = gate(sum(self.sizes.values()))
        device = next(model.parameters()).device
        self.gate.to(device)
        readers = _readers(model, graph, gated)
        self._readers = [(tensor, dim, len(source)) for tensor, dim, source in readers]
        self.register_buffer("_source", torch.cat([s for _, _, s in readers]).to(device), persistent=False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network puts out with its gates as they stand."""
        anatomy = Anatomy.of(self.network)
        tensors = anatomy.tensors
        new = {id(tensor): tensor for tensor in tensors.values()}
        gates = self.gate()
        # What no gate is for is multiplied by the one at the end.
        gates = torch.cat([gates, gates.new_ones(1)]).index_select(0, self._source)
        factors = torch.split(gates, [size for _, _, size in self._readers])
        for (name, dim, _), factor in zip(self._readers, factors, strict=True):
            weight = tensors[name]
            shape = [1] * weight.dim()
            shape[dim] = -1
            new[id(weight)] = new[id(weight)] * factor.to(weight.dtype).view(shape)
        with anatomy.replaced(new):
            return self.network(*args, **kwargs)

    def by_group(self, values: Tensor) -> dict[str, Tensor]:
        """Split one value per gate, ``[channels]``, into one tensor ``[size]`` per group."""
        return dict(zip(self.sizes, torch.split(values, list(self.sizes.values())), strict=True))


def _chosen(graph: StructureGraph, names: Iterable[str] | None) -> tuple[list[Group], dict[str, str]]:
    free, reasons = gateable(graph)
    if names is not None:
        wanted = list(names)
        for name in wanted:
            graph.group(name)
            if name in reasons:
                raise NetsmithError(f"group {name} cannot be gated: {reasons[name]}; leave it out of groups")
        reasons |= {group.name: "it was not asked for" for group in free if group.name not in wanted}
        free = [group for group in free if group.name in wanted]
    if not free:
        why = "; ".join(f"{name}: {reason}" for name, reason in [*reasons.items()][:3])
        raise NetsmithError(f"no group of channels can be gated ({why or 'the graph has none'})")
    return free, reasons


def _twin(model: nn.Module, learn: set[str]) -> nn.Module:
    """Return a copy that shares the values of the parameters, but for those that learn: only they change."""
    parameters = dict(model.named_parameters())
    for name in learn - parameters.keys():
        raise UnknownNameError("parameter", name, parameters)
    replaced: dict[int, Tensor] = {}
    for name, parameter in parameters.items():
        values = parameter.detach()
        learns = name in learn
        replaced[id(parameter)] = nn.Parameter(values.clone() if learns else values, requires_grad=learns)
    return copy_with(model, model.modules(), replaced)


def _readers(
    model: nn.Module, graph: StructureGraph, groups: Sequence[Group]
) -> list[tuple[str, int, Tensor]]:
    """Return tensor, dimension and, per index, which gate multiplies it; the number of gates stands for 1.

    A dimension is there as often as an index has gates.
    """
    shapes = {name: tensor.shape for name, tensor in Anatomy.of(model).tensors.items()}
    count = sum(group.size for group in groups)
    found: dict[tuple[str, int], list[Tensor]] = {}
    start = 0
    for group in groups:
        for one in reading_slices(graph, group):
            if one.tensor not in shapes or int(one.index.max()) >= shapes[one.tensor][one.dim]:
                raise NetsmithError(
                    f"the model has no {one.tensor} that fits the graph; trace the model as it is now"
                )
            gate = torch.arange(start, start + group.size).repeat_interleave(one.index.shape[1])
            sources = found.setdefault((one.tensor, one.dim), [])
            free = next((s for s in sources if bool((s[one.index.flatten()] == count).all())), None)
            if free is None:
                free = torch.full((shapes[one.tensor][one.dim],), count)
                sources.append(free)
            free[one.index.flatten()] = gate
        start += group.size
    return [(tensor, dim, source) for (tensor, dim), sources in found.items() for source in sources]
