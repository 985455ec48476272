"""One executed operator, as the structure graph remembers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from netsmith.graph.axes import Axes, Dim

Kind = Literal["conv", "linear", "matmul", "norm", "elementwise", "pool", "view", "other"]


class Read(NamedTuple):
    """An operator reads all indices of one dimension of one argument at once.

    ``argument`` is the position among the operator's tensor arguments, ``dim`` the dimension. A removed
    index counts as zero to a contraction; to a statistic it is not there.
    """

    argument: int
    dim: int
    axis: Dim
    statistic: bool = False


@dataclass(eq=False)
class Operation:
    """An operator that ran: where, on what, and what it cost.

    MACs are ``scale`` times the product of the kept sizes of ``iterations``. ``constants`` are the integers
    handed to the operator that must follow the structure (the groups of a convolution, say). ``sources`` has,
    per tensor argument, the index of the operation that made it (-1: a parameter, a buffer, an input).
    """

    index: int
    name: str
    module: str
    kind: Kind = "other"
    parameters: tuple[str, ...] = ()
    geometry: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Axes, ...] = ()
    outputs: tuple[Axes, ...] = ()
    sources: tuple[int, ...] = ()
    scale: int = 0
    iterations: tuple[Dim, ...] = ()
    widths: dict[str, Dim] = field(default_factory=dict)
    constants: dict[str, Dim] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    own: str = ""
    """What a rule of the user's own was applied to, if one was."""
