"""An architecture as plain data, and the network that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.cutting.depth import Cut, left_to_cut
from netsmith.cutting.verify import check_against, masked_output
from netsmith.edits import bypass, remove
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.searches.expected_cost import Sizes
from netsmith.searches.sites import first_channels


@dataclass(frozen=True)
class Architecture:
    """What a search chose: plain data, from which :meth:`TransformableSearch.build` makes a network."""

    widths: dict[str, int]
    """Channels that stay, by the name of the group."""
    depths: dict[str, int]
    """Blocks that stay, by the name of the first block of a stage."""
    cost: dict[str, float]
    """What such a network costs, by kind."""


def built(
    model: nn.Module,
    inputs: Inputs,
    graph: StructureGraph,
    sizes: Sizes,
    order: Mapping[str, Tensor],
    architecture: Architecture,
) -> nn.Module:
    """Return a copy of a model cut to an architecture, verified against the masked original.

    Raises:
        EditError: the architecture is not among the sizes, or the network built is not what it should be.
    """
    _require_known(sizes, architecture)
    keep = {name: first_channels(graph, name, width, order) for name, width in architecture.widths.items()}
    gone = tuple(block for stage in sizes.stages for block in stage[architecture.depths[stage[0].name] :])
    if gone:
        shallow, _ = bypass(model, gone)
        left, rest = left_to_cut(shallow, inputs, graph, Cut(keep, gone), None)
        model, graph, keep = shallow, left, dict(rest)
    reference = masked_output(model, inputs, graph, keep)
    small, _ = remove(model, graph, keep)
    check_against(small, inputs, reference, graph)
    return small


def _require_known(sizes: Sizes, architecture: Architecture) -> None:
    depths = {stage[0].name: options for stage, options in zip(sizes.stages, sizes.depths, strict=True)}
    for what, known, chosen in (
        ("width", sizes.widths, architecture.widths),
        ("depth", depths, architecture.depths),
    ):
        if set(chosen) != set(known):
            raise EditError(f"the architecture has {what}s of another search; take this one's")
        for name, one in chosen.items():
            if one not in known[name]:
                raise EditError(f"{what} {one} of {name!r} is not among {known[name]}")
