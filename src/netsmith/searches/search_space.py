"""What of a network a search can choose: widths of groups and depths of stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.errors import EditError, NetsmithError
from netsmith.graph import StructureGraph
from netsmith.graph.choices import least
from netsmith.graph.recording import flow_of
from netsmith.searches.expected_cost import LinearSizes, Sizes
from netsmith.searches.sites import Site, sites_of
from netsmith.searches.stages import depths_of, stages_of
from netsmith.searches.zero_padding import padded_exactly

ONE_WIDTH = "the ratios give it one width alone"
NOT_ZERO = "what passes where its channels are missing is not zero, or is normalised together with them"


@dataclass(frozen=True)
class SearchSpace:
    """The options, where they act, and why some groups are not among them."""

    sizes: Sizes
    sites: tuple[Site, ...]
    fixed: Mapping[str, str]
    """Why a group keeps its width, by name."""


def search_space(
    model: nn.Module,
    inputs: Inputs,
    graph: StructureGraph,
    *,
    ratios: Sequence[float],
    depth: bool,
    order: Mapping[str, Tensor],
    round_to: int,
) -> SearchSpace:
    """Return the widths and depths that can be searched on a model.

    A group can be searched where the network with zeros in the place of its missing channels computes what
    the network without them does; that is tried, with random weights.

    Raises:
        NetsmithError: ratios, multiples or an order out of range.
        EditError: nothing can be searched, or depth where no stage has two blocks.
    """
    _require_sense(graph, ratios, order, round_to)
    flow = flow_of(model, inputs)
    chains = stages_of(model, inputs, flow) if depth else []
    stages = [chain for chain in chains if len(depths_of(len(chain))) > 1]
    if depth and not stages:
        raise EditError(
            f"depth=True, but {type(model).__name__} has no stage of two residual blocks or more; "
            "give depth=False to search widths alone"
        )
    widths = {group.name: _options(graph, group.name, ratios, round_to) for group in graph.groups}
    fixed = {name: ONE_WIDTH for name, options in widths.items() if len(options) < 2}
    fixed |= _not_linear(graph, widths)
    sites = sites_of(model, flow, graph, [name for name in widths if name not in fixed])
    fixed |= sites.refused
    left = {name: options for name, options in widths.items() if name not in fixed}
    exact = padded_exactly(model, inputs, graph, left, sites.found.values(), order)
    fixed |= {name: NOT_ZERO for name in left if name not in exact}
    left = {name: left[name] for name in exact}
    if not left:
        reasons = "; ".join(sorted(set(fixed.values())) or sorted(set(graph.frozen.values()))[:3])
        raise EditError(f"no width of {type(model).__name__} can be searched: {reasons}")
    sizes = Sizes(left, stages, [depths_of(len(stage)) for stage in stages])
    return SearchSpace(sizes, tuple(sites.found.values()), fixed)


def _require_sense(
    graph: StructureGraph, ratios: Sequence[float], order: Mapping[str, Tensor], round_to: int
) -> None:
    if not ratios or not all(0 < ratio <= 1 for ratio in ratios) or round_to < 1:
        raise NetsmithError(
            f"ratios={list(ratios)} and round_to={round_to}: expected shares above 0 up to 1, and 1 or more"
        )
    for name, ranks in order.items():
        if sorted(ranks.tolist()) != list(range(graph.group(name).size)):
            raise NetsmithError(f"order[{name!r}] is no order of its {graph.group(name).size} channels")


def _options(graph: StructureGraph, name: str, ratios: Sequence[float], round_to: int) -> tuple[int, ...]:
    """Return the widths of a group: shares of it rounded down, then up to a multiple."""
    size, lowest = graph.group(name).size, least(graph).get(name, 1)
    options = {size}
    for ratio in ratios:
        # 10 * 0.7 is a little below 7 in floating point.
        width = int(size * ratio + 1e-9)
        options.add(min(size, max(1, lowest, -(-width // round_to) * round_to)))
    return tuple(sorted(options))


def _not_linear(graph: StructureGraph, names: Iterable[str]) -> dict[str, str]:
    """Return the groups that size some dimension together with another, with the reason; the larger stay.

    The channels within the groups of a convolution and these groups themselves are such a pair.
    """
    dims = [dim for one in graph.operations if one.scale for dim in one.iterations]
    dims += [dim for _, dim in graph.leaves()]
    taken: list[str] = []
    refused: dict[str, str] = {}
    for name in sorted(names, key=lambda one: -graph.group(one).size):
        linear = LinearSizes(graph, [*taken, name])
        try:
            for dim in dims:
                linear(dim)
        except EditError as error:
            refused[name] = str(error)
        else:
            taken.append(name)
    return refused
