"""The structure graph: a network as a graph of operators and coupled channels."""

from netsmith.graph.grouping import Group, Slice
from netsmith.graph.operation import Operation
from netsmith.graph.own_rules import rule
from netsmith.graph.rule_call import RuleCall
from netsmith.graph.structure import StructureGraph
from netsmith.graph.tracing import trace

__all__ = ["Group", "Operation", "RuleCall", "Slice", "StructureGraph", "rule", "trace"]
