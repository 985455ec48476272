"""What weights read of the channels of each group: first and second moments over a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.contracts import Loss
from netsmith.graph import Group, Slice, StructureGraph
from netsmith.scores.elements import forward, weights_of
from netsmith.scores.watching import Watch, padded


@dataclass(eq=False)
class Moments:
    """Sums over all that one weight reads of a group's channels, at every sample and position.

    A convolution reads its zero padding, too. ``biases`` are what is added to the products of the weight:
    names of parameters, None where nothing, or no parameter of the model, is.
    """

    slice: Slice
    total: Tensor
    products: Tensor
    count: int = 0
    biases: set[str | None] = field(default_factory=set)

    @property
    def bias(self) -> str | None:
        """The name of the one bias that comes with the weight wherever it is used, if there is one."""
        return next(iter(self.biases)) if len(self.biases) == 1 else None

    @property
    def mean(self) -> Tensor:
        """The mean of each channel, ``[size]``; zero where no bias can take a constant up."""
        return self.total / self.count if self.bias else torch.zeros_like(self.total)

    @property
    def covariance(self) -> Tensor:
        """Second moments ``[size, size]``, about the mean where a bias can take a constant up."""
        return self.products / self.count - torch.outer(self.mean, self.mean)

    def add(self, values: Tensor) -> None:
        """Count what was read, ``[rows, size, m]``."""
        rows = values.movedim(1, -1).flatten(0, -2).double()
        self.total += rows.sum(0).cpu()
        self.products += (rows.T @ rows).cpu()
        self.count += len(rows)


def moments(
    model: nn.Module, loss: Loss | None, graph: StructureGraph, score: str
) -> dict[str, list[Moments]]:
    """Return, per group, the moments of what each linear layer and convolution reads of it in a batch.

    One forward pass, in evaluation mode. A weight that is used in another way is not there.

    Args:
        model: left as found.
        loss: ``model -> scalar`` on one batch; only its forward pass counts.
        graph: the structure graph of the model.
        score: what an error calls the method.

    Raises:
        NetsmithError: no loss, or one that is no scalar.
    """
    with _Moments(model, graph) as watch:
        forward(model, loss, score)
    return {group.name: [one for one in watch.found[group.name] if one.count] for group in graph.groups}


class _Moments(Watch):
    def __init__(self, model: nn.Module, graph: StructureGraph) -> None:
        weights: Mapping[str, Tensor] = weights_of(model)
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.found = {group.name: _empty(group, weights) for group in graph.groups}
        self.of_weight: dict[str, list[Moments]] = {}
        for several in self.found.values():
            for one in several:
                self.of_weight.setdefault(one.slice.tensor, []).append(one)
        super().__init__({name: weights[name] for name in self.of_weight})

    def seen(self, name: str, given: Mapping[str, Any], linear: bool) -> None:
        read = _read(given, linear)
        for one in self.of_weight[name]:
            one.add(read[:, one.slice.index.to(read.device)])
            one.biases.add(self.names.get(id(given.get("bias"))))


def _empty(group: Group, weights: Mapping[str, Tensor]) -> list[Moments]:
    zeros = torch.zeros(group.size, dtype=torch.float64)
    return [
        Moments(one, zeros.clone(), torch.outer(zeros, zeros))
        for one in group.slices
        if one.role == "in" and one.dim == 1 and one.tensor in weights
    ]


def _read(given: Mapping[str, Any], linear: bool) -> Tensor:
    """Return what a weight reads, ``[rows, inputs of the weight]``; groups of a convolution are rows."""
    read: Tensor = given["input"].detach()
    weight: Tensor = given["weight"]
    if linear:
        return read.reshape(-1, read.shape[-1])
    # The weights see zeros beyond the border where a constant would go on: those rows say so.
    read = padded(given).detach()
    parts = read.reshape(len(read), -1, weight.shape[1], *read.shape[2:])
    return parts.movedim(2, -1).flatten(0, -2)
