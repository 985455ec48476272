"""An oracle for cuts that shares nothing with the masked run: the reader weights set to zero by hand."""

from __future__ import annotations

import copy

import torch
from torch import nn

import netsmith as ns
from netsmith.graph import StructureGraph


def applies(graph: StructureGraph) -> bool:
    """Whether every reader of a channel is a weight, and no statistic is taken across channels."""
    for operation in graph.operations:
        if any(read.statistic for read in operation.reads):
            return False
        if operation.reads and not any(dim.leaf for axes in operation.inputs for dim in axes):
            return False
    return bool(graph.groups)


def zeroed_readers(model: nn.Module, graph: StructureGraph, smaller: nn.Module) -> nn.Module:
    """Return the original with the weights that read the channels ``smaller`` lacks set to zero."""
    gone = ns.records(smaller)[-1]["groups"]
    masked = copy.deepcopy(model)
    tensors = {**dict(masked.named_buffers()), **dict(masked.named_parameters())}
    with torch.no_grad():
        for group in graph.groups:
            for item in group.slices:
                if item.role == "in" and group.name in gone:
                    index = item.index[gone[group.name]].reshape(-1)
                    tensors[item.tensor].index_fill_(item.dim, index, 0.0)
    return masked
