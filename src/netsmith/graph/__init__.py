"""The structure graph: a network as a graph of operators and coupled channels."""

from netsmith.graph.grouping import Group, Slice
from netsmith.graph.operation import Operation
from netsmith.graph.structure import StructureGraph
from netsmith.graph.tracing import trace

__all__ = ["Group", "Operation", "Slice", "StructureGraph", "trace"]
