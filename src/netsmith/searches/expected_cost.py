"""The expected cost of a network whose widths and depths are distributions, with its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from netsmith.errors import EditError
from netsmith.graph import Block, StructureGraph
from netsmith.graph.axes import Dim

KINDS = ("macs", "params", "bytes")
Factor = tuple[str, int, int]
"""``("width", group, power)`` or ``("stays", stage, place of the block in it)``."""
Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Sizes:
    """What a search chooses among: the widths of each group, the numbers of blocks each stage may keep."""

    widths: Mapping[str, tuple[int, ...]]
    stages: Sequence[tuple[Block, ...]] = ()
    depths: Sequence[tuple[int, ...]] = ()


class ExpectedCost:
    """``E[cost]`` under independent distributions over the widths of groups and the depths of stages.

    The cost of an operator is a product of widths, so that of the network is a polynomial in them, and its
    expectation one in the moments ``E[width^n]``: exact also where one group is both input and output of an
    operator. What lies in the i-th block of a stage counts with the probability that at least i blocks stay.

    Args:
        graph: of the whole network.
        sizes: the options.
        kinds: of ``"macs"``, ``"params"`` and ``"bytes"``.

    Raises:
        EditError: two groups size one dimension together, so that its size is not linear in either.
    """

    def __init__(self, graph: StructureGraph, sizes: Sizes, kinds: Sequence[str]) -> None:
        self.sizes = sizes
        self._linear = LinearSizes(graph, tuple(sizes.widths))
        self._factors: dict[Factor, int] = {}
        self._polynomials = {kind: self._compiled(self._terms(graph, kind)) for kind in kinds}

    def __call__(self, widths: Sequence[Tensor], depths: Sequence[Tensor] = ()) -> dict[str, Tensor]:
        """Return the expected cost of each kind, scalars in float64.

        Args:
            widths: probabilities ``[options]`` per group, in the order of ``sizes.widths``.
            depths: probabilities ``[options]`` per stage.
        """
        options = list(self.sizes.widths.values())
        values = [torch.ones((), dtype=torch.float64, device=(*widths, *depths)[0].device)]
        for what, number, power in self._factors:
            if what == "width":
                numbers = torch.tensor(options[number], dtype=torch.float64, device=values[0].device)
                values.append((widths[number].double() * numbers**power).sum())
            else:
                deep = [place for place, kept in enumerate(self.sizes.depths[number]) if kept > power]
                values.append(depths[number].double()[deep].sum())
        vector = torch.stack(values)
        return {
            kind: vector[index.to(vector.device)].prod(dim=1) @ coefficients.to(vector.device)
            for kind, (index, coefficients) in self._polynomials.items()
        }

    def of(self, widths: Sequence[int], depths: Sequence[int] = ()) -> dict[str, float]:
        """Return what one choice costs: the places of the chosen options, per group and per stage."""

        options = list(self.sizes.widths.values())
        values = [1.0]
        for what, number, power in self._factors:
            if what == "width":
                values.append(float(options[number][widths[number]]) ** power)
            else:
                values.append(float(self.sizes.depths[number][depths[number]] > power))
        vector = np.array(values)
        return {
            kind: float(vector[index.numpy()].prod(axis=1) @ coefficients.numpy())
            for kind, (index, coefficients) in self._polynomials.items()
        }

    def _terms(self, graph: StructureGraph, kind: str) -> dict[Term, float]:
        """Return the polynomial of one kind of cost."""
        terms: dict[Term, float] = {}
        if kind == "macs":
            for operation in graph.operations:
                if operation.scale:
                    self._add(terms, operation.module, operation.scale, operation.iterations)
            return terms
        shapes: dict[str, list[Dim]] = {name: [] for name in graph.itemsize}
        for leaf, dim in graph.leaves():
            shapes[leaf.tensor].append(dim)
        for name, dims in shapes.items():
            if kind == "bytes" or name in graph.parameters:
                self._add(terms, name, graph.itemsize[name] if kind == "bytes" else 1, dims)
        return terms

    def _add(self, terms: dict[Term, float], where: str, scale: int, dims: Sequence[Dim]) -> None:
        """Add ``scale`` times the product of the sizes of some dimensions."""
        products: dict[Term, float] = {self._inside(where): float(scale)}
        for dim in dims:
            grown: dict[Term, float] = {}
            for term, coefficient in products.items():
                for number, slope in self._linear(dim).items():
                    if not slope:
                        continue
                    one = term if number is None else _times(term, number)
                    grown[one] = grown.get(one, 0.0) + coefficient * slope
            products = grown
        for term, coefficient in products.items():
            terms[term] = terms.get(term, 0.0) + coefficient

    def _inside(self, where: str) -> Term:
        """Return the block of a stage that a module or a tensor lies in, as a factor."""
        for number, stage in enumerate(self.sizes.stages):
            for place, block in enumerate(stage):
                if f"{where}.".startswith(f"{block.name}."):
                    return (("stays", number, place),)
        return ()

    def _compiled(self, terms: Mapping[Term, float]) -> tuple[Tensor, Tensor]:
        """Return which values each term multiplies (0 stands for one), and the coefficients."""
        longest = max((len(term) for term in terms), default=0)
        rows = []
        for term in terms:
            row = [self._factors.setdefault(factor, len(self._factors) + 1) for factor in term]
            rows.append(row + [0] * (longest + 1 - len(row)))
        return torch.tensor(rows).reshape(len(terms), longest + 1), torch.tensor(
            [*terms.values()], dtype=torch.float64
        )


class LinearSizes:
    """Sizes of dimensions as ``constant + sum of slope * width`` over some groups."""

    def __init__(self, graph: StructureGraph, names: Sequence[str]) -> None:
        self._graph = graph
        self._widths = [graph.group(name).size for name in names]
        channels = [group.channels for group in graph.groups]
        self._number = np.full(2 + max((int(one.max()) for one in channels), default=0), -1)
        for number, name in enumerate(names):
            self._number[graph.group(name).channels] = number

    def __call__(self, dim: Dim) -> dict[int | None, float]:
        """Return slopes by the number of the group, and the constant under None.

        Raises:
            EditError: an index that channels of two of the groups own, or channels that own unequally many.
        """
        if not dim.owners:
            return {None: float(dim.size)}
        owners = self._graph.owners(dim)
        numbers = self._number[np.minimum(owners, len(self._number) - 1)]
        if ((numbers >= 0).sum(axis=1) > 1).any():
            raise EditError("two widths size one dimension together")
        of_index = numbers.max(axis=1, initial=-1)
        found: dict[int | None, float] = {None: float((of_index < 0).sum())}
        for number in np.unique(of_index[of_index >= 0]):
            channel = owners[numbers == number]
            counts = np.unique(channel, return_counts=True)[1]
            if len(counts) != self._widths[number] or counts.min() != counts.max():
                raise EditError("its channels own unequally much of one dimension")
            found[int(number)] = float(counts[0])
        return found


def _times(term: Term, number: int) -> Term:
    powers = {(what, which): power for what, which, power in term if what == "width"}
    powers["width", number] = powers.get(("width", number), 0) + 1
    rest = [factor for factor in term if factor[0] != "width"]
    return (*rest, *sorted((what, which, power) for (what, which), power in powers.items()))
