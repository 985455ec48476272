"""Cutting in depth too: whole residual blocks among the channels in one ranking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from netsmith.contracts import Inputs, Keep
from netsmith.cost.counting import Cost
from netsmith.cutting.selection import Scope
from netsmith.graph import Block, Group, StructureGraph
from netsmith.graph.own_rules import OwnRule, Target
from netsmith.graph.tracing import trace


class Cut(NamedTuple):
    """What goes: the channels that ``keep`` does not keep, and whole blocks."""

    keep: Keep
    blocks: tuple[Block, ...] = ()


def block_scores(
    graph: StructureGraph, scores: Mapping[str, Tensor], free: list[str], blocks: list[Block]
) -> list[tuple[Block, float]]:
    """Return the blocks that may go with the mean score of the channels inside, the lowest first.

    A channel is inside when everything it owns is. A block without such channels, or with one in a group
    that is not free, stays.
    """
    found = []
    for block in blocks:
        groups = [group for group in graph.groups if _lies_in(group, block)]
        if groups and all(group.name in free for group in groups):
            inside = torch.cat([scores[group.name] for group in groups])
            found.append((block, float(inside.mean())))
    return sorted(found, key=lambda pair: pair[1])


def _lies_in(group: Group, block: Block) -> bool:
    return all(item.tensor.startswith(f"{block.name}.") for item in group.slices)


def in_depth(
    choose: Callable[[int], Keep],
    scores: Mapping[str, Tensor],
    free: list[str],
    ranked: list[tuple[Block, float]],
    scope: Scope,
) -> tuple[Callable[[int], Cut], int]:
    """Return a function from a number of steps to a cut, and how many steps there are.

    Every channel and every block is one step. With a global scope a block goes when the score of the
    channels that go has reached its own; with a local one the same share of blocks goes as of channels.
    """
    channels = torch.cat([scores[name] for name in free])
    steps = len(channels) + len(ranked)
    lower = [int((channels < score).sum()) + number for number, (_, score) in enumerate(ranked)]

    def cut(count: int) -> Cut:
        gone = len(ranked) * count // steps if scope == "local" else sum(place < count for place in lower)
        return Cut(choose(count - gone), tuple(block for block, _ in ranked[:gone]))

    return cut, steps


def meter_of(cost: Cost, kinds: set[str]) -> Callable[[Cut], dict[str, float]]:
    """Return a function from a cut to the costs of some kinds."""
    in_width = cost.meter(kinds)

    def measure(cut: Cut) -> dict[str, float]:
        total = in_width(cut.keep)
        if cut.blocks:
            inside = tuple(f"{block.name}." for block in cut.blocks)
            for row in cost.layers(cut.keep):
                if f"{row['name']}.".startswith(inside):
                    total = {kind: value - row.get(kind, 0.0) for kind, value in total.items()}
        return total

    return measure


def left_to_cut(
    shallow: nn.Module,
    inputs: Inputs,
    graph: StructureGraph,
    cut: Cut,
    rules: Mapping[Target, OwnRule] | None,
) -> tuple[StructureGraph, Keep]:
    """Return the graph of a model whose blocks are out already, and what of the cut there is left to do."""
    after = trace(shallow, inputs, rules=rules)
    gone = _removed(graph, cut.keep)
    keep = {}
    for group in after.groups:
        first = group.slices[0]
        lost = gone.get((first.tensor, first.dim), set())
        keep[group.name] = torch.tensor([lost.isdisjoint(row) for row in first.index.tolist()])
    return after, keep


def _removed(graph: StructureGraph, keep: Keep) -> dict[tuple[str, int], set[int]]:
    """Return, per tensor and dimension, the indices that go."""
    sizes = graph.shapes(graph.survivors(None))
    return {
        (tensor, dim): set(range(sizes[tensor][dim])).difference(kept.tolist())
        for tensor, cuts in graph.cuts(graph.survivors(keep)).items()
        for dim, kept in cuts.items()
    }
