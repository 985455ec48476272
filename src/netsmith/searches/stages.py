"""Stages: residual blocks that follow each other, and how many of them run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.graph import Block, blocks
from netsmith.graph.flow import Flow, Value, values_in


def stages_of(model: nn.Module, inputs: Inputs, flow: Flow) -> list[tuple[Block, ...]]:
    """Return the chains of residual blocks in which each is given what the one before it makes.

    Raises:
        TraceError: the model does not run on the inputs.
    """
    calls = flow.calls_of
    chains: list[list[Block]] = []
    before: Value | None = None
    for block in blocks(model, inputs):
        if not isinstance(block.returns, int):
            before = None
            continue
        call = calls[block.name][0]
        given = call.arguments[block.returns]
        if before is not None and given == before:
            chains[-1].append(block)
        else:
            chains.append([block])
        before = values_in(call.result)[0]
    return [tuple(chain) for chain in chains]


def depths_of(count: int) -> tuple[int, ...]:
    """Return how many of a stage's blocks may stay: every second number up to all of them.

    With the block that opens a stage and cannot go these are the 1, 3, 5, ... of the paper.

    >>> depths_of(5), depths_of(2)
    ((1, 3, 5), (0, 2))
    """
    return tuple(range(count % 2, count + 1, 2))


class DepthChoice:
    """How many blocks of a stage run, as weights over what its blocks make.

    Args:
        stage: the blocks, in the order in which they run.
        depths: how many of them may stay, ascending.
    """

    def __init__(self, stage: Sequence[Block], depths: Sequence[int]) -> None:
        self.stage = tuple(stage)
        self.depths = tuple(depths)
        self._weights: Tensor | None = None
        self._alone = len(depths) - 1
        self._seen: list[Tensor] = []

    def set(self, chosen: int | Tensor) -> None:
        """Take one depth, by its place, or all of them, with weights ``[depths]``."""
        self._weights = chosen if isinstance(chosen, Tensor) else None
        self._alone = -1 if isinstance(chosen, Tensor) else chosen

    def release(self) -> None:
        """Let go of the graph that the weights were computed in."""
        if self._weights is not None:
            self._weights = self._weights.detach()

    def install(self, model: nn.Module) -> None:
        """Put hooks on the blocks of a model."""
        modules = [model.get_submodule(block.name) for block in self.stage]
        modules[0].register_forward_pre_hook(self._begin)
        for module in modules[:-1]:
            module.register_forward_hook(self._note)
        modules[-1].register_forward_hook(self._end)

    def _begin(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        self._seen = [given[self.stage[0].returns]]

    def _note(self, module: nn.Module, given: Any, output: Tensor) -> None:
        self._seen.append(output)

    def _end(self, module: nn.Module, given: Any, output: Tensor) -> Tensor:
        seen, self._seen = [*self._seen, output], []
        if self._weights is None:
            return seen[self.depths[self._alone]]
        made = [seen[depth] for depth in self.depths]
        weighted = [one * weight for one, weight in zip(made, self._weights, strict=True)]
        total: Tensor = weighted[0]
        for one in weighted[1:]:
            total = total + one
        return total
