"""The structure graph: a network as a graph of operators and coupled channels."""

from netsmith.graph.blocks import Block, block_at, blocks
from netsmith.graph.grouping import Group, Slice
from netsmith.graph.operation import Operation
from netsmith.graph.own_rules import rule
from netsmith.graph.rule_call import RuleCall
from netsmith.graph.structure import StructureGraph
from netsmith.graph.tracing import trace

__all__ = [
    "Block",
    "Group",
    "Operation",
    "RuleCall",
    "Slice",
    "StructureGraph",
    "block_at",
    "blocks",
    "rule",
    "trace",
]
