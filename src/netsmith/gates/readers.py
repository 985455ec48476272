"""Which weights read the channels of a group, and which groups something else reads, too."""

from __future__ import annotations

import numpy as np

from netsmith.graph import Group, Slice, StructureGraph
from netsmith.graph.tracer import FROM_OUTPUT


def reading_slices(graph: StructureGraph, group: Group) -> list[Slice]:
    """Return the slices through which parameters sum over the channels of a group."""
    return [one for one in group.slices if one.role == "in" and one.tensor in graph.parameters]


def output_parameters(graph: StructureGraph) -> set[str]:
    """Return the names of the parameters that make the network's output: the weights of a classifier, say."""
    made = {tensor for (tensor, _), reason in graph.frozen.items() if reason == FROM_OUTPUT}
    return made & graph.parameters


def gateable(graph: StructureGraph) -> tuple[list[Group], dict[str, str]]:
    """Return the groups that gates on weights can close, and of the others what reads them, in words.

    A gate on the reading weights is one on the channel only where no statistic across channels and no product
    of activations sees the channel beside them.
    """
    others = {group.name: _why_not(graph, group) for group in graph.groups}
    free = [group for group in graph.groups if not others[group.name]]
    return free, {name: reason for name, reason in others.items() if reason}


def _why_not(graph: StructureGraph, group: Group) -> str:
    seen = {one.tensor for one in reading_slices(graph, group)}
    if not seen:
        return "no weight reads it"
    for operation in graph.operations:
        mine = seen.intersection(operation.parameters)
        for read in operation.reads:
            beside = read.statistic or not mine
            if beside and read.axis.owners and np.isin(graph.owners(read.axis), group.channels).any():
                return f"{operation.name} in module {operation.module or '(the model itself)'} reads it"
    return ""
