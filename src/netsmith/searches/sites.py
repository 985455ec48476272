"""Where the channels of groups are made: the modules whose output has to follow a width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netsmith.graph import Operation, StructureGraph
from netsmith.graph.axes import Dim
from netsmith.graph.flow import Flow, Value
from netsmith.searches.width_mixing import Mixer, Norms, Piece, WidthChoice, mixing_hook

NO_MODULE = "what makes its channels is no module's output"
TANGLED = "another width or another dimension goes with its channels in the output of a module"


@dataclass(frozen=True)
class Site:
    """A module, the channel dimension of its output, and which of its entries belong to which groups."""

    path: str
    norm: bool
    dim: int
    size: int
    owned: Mapping[str, Tensor]
    """By group ``[channels, repeats]``, in the order of the group's channels."""


@dataclass
class Sites:
    """The modules to follow the widths, and why some groups cannot be searched."""

    found: dict[str, Site] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def sites_of(model: nn.Module, flow: Flow, graph: StructureGraph, names: Iterable[str]) -> Sites:
    """Return where the channels of some groups are made, batch norms in the place of what they alone read."""
    sites = Sites()
    modules = dict(model.named_modules())
    last = {operation.module: operation for operation in graph.operations}
    groups = {name: graph.group(name) for name in names}
    made: dict[str, list[str]] = {}
    for name, group in groups.items():
        paths = {one.tensor.rpartition(".")[0] for one in group.slices if one.role != "in"}
        if not paths or not all(path in last and _puts_out(flow, path, last[path]) for path in paths):
            sites.refused[name] = NO_MODULE
            continue
        for path in paths:
            made.setdefault(path, []).append(name)
    for path, owners in made.items():
        channels = {name: groups[name].channels for name in owners}
        found = _site(path, isinstance(modules[path], _BatchNorm), last[path], graph, channels)
        if found is None:
            sites.refused.update(dict.fromkeys(owners, TANGLED))
        else:
            sites.found[path] = found
    for path in [path for path, site in sites.found.items() if not site.norm]:
        if _read_by_norms(last[path], graph, sites.found):
            del sites.found[path]
    return sites


def install(
    model: nn.Module,
    sites: Iterable[Site],
    choices: Mapping[str, WidthChoice],
    order: Mapping[str, Tensor],
) -> None:
    """Make the modules of a model follow the choices, in place.

    Args:
        model: changed: batch norms become :class:`Norms`, other modules get a forward hook.
        sites: where.
        choices: by group; groups without one stay whole.
        order: which channels of a group come first, by group; else their own order.
    """
    for site in sites:
        pieces = [
            Piece(choices[name], index[order[name]] if name in order else index)
            for name, index in site.owned.items()
            if name in choices
        ]
        if not pieces:
            continue
        mixer = Mixer(pieces, site.dim, site.size)
        module = model.get_submodule(site.path)
        if isinstance(module, _BatchNorm):
            model.set_submodule(site.path, Norms(module, mixer))
        else:
            module.register_forward_hook(mixing_hook(mixer))


def first_channels(graph: StructureGraph, name: str, width: int, order: Mapping[str, Tensor]) -> Tensor:
    """Return which channels of a group stay at a width, a mask ``[size]``."""
    size = graph.group(name).size
    mask = torch.zeros(size, dtype=torch.bool)
    mask[order.get(name, torch.arange(size))[:width]] = True
    return mask


def _puts_out(flow: Flow, path: str, operation: Operation) -> bool:
    """Whether a module inside the model puts out one tensor, the one that an operation makes."""
    results = [call.result for call in flow.calls_of.get(path, ())] if path else []
    shape = tuple(axis.size for axis in operation.outputs[0]) if operation.outputs else None
    return bool(results) and all(isinstance(one, Value) and one.shape == shape for one in results)


def _site(
    path: str, norm: bool, operation: Operation, graph: StructureGraph, channels: Mapping[str, np.ndarray]
) -> Site | None:
    """Return the site of a module, or None where its output has no one dimension for these channels."""
    axes = operation.outputs[0]
    owned = [(dim, _owned(graph, axis, channels)) for dim, axis in enumerate(axes)]
    owning = [(dim, found) for dim, found in owned if found is None or found]
    if len(owning) != 1 or owning[0][1] is None:
        return None
    dim, found = owning[0]
    assert found is not None
    if set(found) != set(channels):
        return None
    # A linear layer works on the last dimension, whatever the number of those before it.
    from_behind = dim == len(axes) - 1 and not norm and operation.kind != "conv"
    return Site(path, norm, -1 if from_behind else dim, axes[dim].size, found)


def _owned(graph: StructureGraph, axis: Dim, channels: Mapping[str, np.ndarray]) -> dict[str, Tensor] | None:
    """Return which indices of a dimension belong to the channels of groups; None if that is no partition."""
    if not axis.owners:
        return {}
    owners = graph.owners(axis)
    found: dict[str, Tensor] = {}
    taken = np.zeros(axis.size, dtype=int)
    for name, members in channels.items():
        inside = np.isin(owners, members)
        taken += inside.sum(axis=1)
        rows, columns = np.nonzero(inside)
        if not len(rows):
            continue
        owner = owners[rows, columns]
        counts = np.array([(owner == member).sum() for member in members])
        if counts.min() != counts.max():
            return None
        found[name] = torch.from_numpy(np.stack([rows[owner == member] for member in members]))
    return found if taken.max(initial=0) <= 1 else None


def _read_by_norms(operation: Operation, graph: StructureGraph, sites: Mapping[str, Site]) -> bool:
    """Whether batch norms that mix alone read what an operation makes."""
    readers = [one.module for one in graph.operations if operation.index in one.sources]
    return bool(readers) and all(path in sites and sites[path].norm for path in readers)
