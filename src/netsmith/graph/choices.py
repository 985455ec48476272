"""How many channels must stay for a choice among them to be possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netsmith.errors import EditError
from netsmith.graph.axes import Dim

if TYPE_CHECKING:
    from netsmith.graph.structure import StructureGraph


def choices(graph: StructureGraph) -> Iterator[tuple[Dim, int]]:
    """Return every dimension of channels of which the largest few are chosen, and how many those are."""
    for operation in graph.operations:
        if "chosen" in operation.geometry and operation.reads:
            yield operation.reads[0].axis, operation.geometry["chosen"]


def least(graph: StructureGraph) -> dict[str, int]:
    """Return how many channels must stay of each group that a choice is made among."""
    found: dict[str, int] = {}
    for axis, count in choices(graph):
        channels = np.unique(graph.owners(axis))
        for group in graph.groups:
            if np.isin(group.channels, channels).any():
                found[group.name] = max(count, found.get(group.name, 1))
    return found


def check_choices(graph: StructureGraph, alive: NDArray[Any]) -> None:
    """Refuse a cut that leaves fewer channels than are chosen.

    Raises:
        EditError: says how many must stay.
    """
    for axis, count in choices(graph):
        if graph.width(axis, alive) < count:
            raise EditError(
                f"keep leaves {graph.width(axis, alive)} of {axis.size} channels, of which the network "
                f"chooses {count}; at least that many must stay"
            )
