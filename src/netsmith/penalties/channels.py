"""Norms of channels: of a traced graph's coupled ones, or of the rows and columns of each weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from netsmith.errors import NetsmithError
from netsmith.penalties.guarded import root
from netsmith.penalties.selection import Select, selected, weights, widened
from netsmith.wrappers import unwrapped

if TYPE_CHECKING:
    from netsmith.graph import StructureGraph

DIMS = ("out", "in")


class ChannelNorms:
    """``model -> norms`` of all channels: the root of the sum of squares over the weights a channel owns.

    With a graph, a channel owns its slices of every selected tensor: the rows that produce it and the
    columns that read it. An entry reached along two dimensions by one channel counts twice. Without a
    graph, each selected tensor has its output channels as one group and its input channels as another,
    as ``dims`` says. The index structure is made at the first call and kept.

    Args:
        graph: the traced structure, or None for each tensor on its own.
        dims: without a graph, which of ``"out"`` and ``"in"`` to group by.
        select: which parameters, weights of two or more dimensions by default.

    Raises:
        NetsmithError: ``dims`` is empty, unknown or given beside a graph; when called, nothing is selected,
            a selected tensor has fewer than two dimensions, or the model is not the one traced.
    """

    def __init__(
        self, graph: StructureGraph | None = None, *, dims: Sequence[str] = DIMS, select: Select = weights
    ) -> None:
        if not dims or not set(dims) <= set(DIMS):
            raise NetsmithError(f"dims is {dims!r}; expected one or both of {DIMS}")
        if graph is not None and tuple(dims) != DIMS:
            raise NetsmithError(
                f"dims is {dims!r} beside a graph, whose groups couple both; leave one of them out"
            )
        self.graph = graph
        self.dims = tuple(dims)
        self.select = select
        self._layout: _Layout | None = None
        self._shapes: dict[str, torch.Size] = {}

    def __call__(self, model: nn.Module) -> tuple[Tensor, Tensor, int]:
        """Return ``(norms [C], the number of the group of each channel [C], how many groups)``."""
        model = unwrapped(model)
        parameters = {name: p for name, p in model.named_parameters() if self.select(name, p)}
        shapes = {name: p.shape for name, p in parameters.items()}
        if self._layout is None or (self.graph is None and shapes != self._shapes):
            self._layout = self._make(model, parameters)
            self._shapes = shapes
        elif shapes != self._shapes:
            raise _stale("its selected tensors have other names or shapes than when first seen")
        layout = self._layout.to(next(iter(parameters.values())).device)
        return root(layout.squares(parameters)), layout.group, layout.groups

    def by_group(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the norms ``[size]`` of each group that owns a selected weight, by the name of the group."""
        norms, _, _ = self(model)
        assert self._layout is not None
        return dict(zip(self._layout.names, torch.split(norms, self._layout.sizes), strict=True))

    def _make(self, model: nn.Module, parameters: Mapping[str, Tensor]) -> _Layout:
        selected(model, self.select)
        layout = _Layout()
        if self.graph is not None:
            _fill_from_graph(layout, self.graph, model, parameters)
        else:
            _fill_from_tensors(layout, model, parameters, self.dims)
        if not layout.groups:
            raise NetsmithError(
                f"no group of the graph owns a selected weight of {type(model).__name__}; expected one or "
                "more: see graph.frozen for why dimensions have none, or pass another select"
            )
        return layout.finished()


@dataclass
class _Layout:
    """Where the channels' entries lie in the tensors' marginal sums of squares, laid end to end."""

    dims: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    sources: list[Tensor] = field(default_factory=list)
    owners: list[Tensor] = field(default_factory=list)

    @property
    def groups(self) -> int:
        return len(self.sizes)

    def reserve(self, shapes: dict[str, torch.Size], wanted: Iterable[tuple[str, int]]) -> None:
        for name, dim in wanted:
            self.dims[name] = tuple(sorted({*self.dims.get(name, ()), dim}))
        start = 0
        for name, dims in self.dims.items():
            for dim in dims:
                self.starts[name, dim] = start
                start += shapes[name][dim]

    def add(self, group: str, size: int, slices: Iterable[tuple[str, int, Tensor]]) -> None:
        """Add a group of ``size`` channels that own ``(tensor, dim, index [size, m])``."""
        before = sum(self.sizes)
        for name, dim, index in slices:
            self.sources.append(index.cpu().flatten() + self.starts[name, dim])
            self.owners.append(torch.arange(size).repeat_interleave(index.shape[1]) + before)
        self.names.append(group)
        self.sizes.append(size)

    def finished(self) -> _Layout:
        self.source, self.owner = torch.cat(self.sources), torch.cat(self.owners)
        self.group = torch.arange(self.groups).repeat_interleave(torch.tensor(self.sizes))
        return self

    def to(self, device: torch.device) -> _Layout:
        if self.source.device != device:
            self.source, self.owner = self.source.to(device), self.owner.to(device)
            self.group = self.group.to(device)
        return self

    def squares(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of squares of every channel, ``[C]``."""
        sums = torch.cat([s for name, dims in self.dims.items() for s in _marginals(parameters[name], dims)])
        return sums.new_zeros(len(self.group)).index_add(0, self.owner, sums.index_select(0, self.source))


def _marginals(tensor: Tensor, dims: tuple[int, ...]) -> list[Tensor]:
    """Return the sums of squares along each of ``dims``; the kernel positions are summed only once."""
    squares = widened(tensor).square()
    rest = [dim for dim in range(tensor.dim()) if dim not in dims]
    if rest:
        squares = squares.sum(rest)
    if len(dims) == 1:
        return [squares]
    return [squares.sum([j for j in range(len(dims)) if j != i]) for i in range(len(dims))]


def _fill_from_graph(
    layout: _Layout, graph: StructureGraph, model: nn.Module, parameters: Mapping[str, Tensor]
) -> None:
    known = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    groups = []
    for group in graph.groups:
        for piece in group.slices:
            if piece.tensor not in known:
                raise _stale(f"it has no tensor {piece.tensor!r}")
        own = [(s.tensor, s.dim, s.index) for s in group.slices if s.tensor in parameters]
        for name, dim, index in own:
            if index.numel() and int(index.max()) >= parameters[name].shape[dim]:
                raise _stale(f"{name!r} has only {parameters[name].shape[dim]} entries along dimension {dim}")
        if own:
            groups.append((group.name, group.size, own))
    shapes = {name: p.shape for name, p in parameters.items()}
    layout.reserve(shapes, ((name, dim) for _, _, own in groups for name, dim, _ in own))
    for group_name, size, own in groups:
        layout.add(group_name, size, own)


def _fill_from_tensors(
    layout: _Layout, model: nn.Module, parameters: Mapping[str, Tensor], dims: tuple[str, ...]
) -> None:
    transposed = {id(m.weight) for m in model.modules() if isinstance(m, _ConvTransposeNd)}
    wanted = []
    for name, parameter in parameters.items():
        if parameter.dim() < 2:
            raise NetsmithError(
                f"{name!r} has shape {tuple(parameter.shape)}; a group penalty needs rows and columns: "
                "expected two dimensions or more, so let select leave it out"
            )
        order = ("in", "out") if id(parameter) in transposed else DIMS
        wanted += [(name, order.index(dim)) for dim in dims]
    shapes = {name: p.shape for name, p in parameters.items()}
    layout.reserve(shapes, wanted)
    for name, dim in wanted:
        size = shapes[name][dim]
        layout.add(f"{name}:{dim}", size, [(name, dim, torch.arange(size).unsqueeze(1))])


def _stale(why: str) -> NetsmithError:
    return NetsmithError(
        f"the model is not the one the graph was traced on: {why}; trace it again "
        "(and hand over model.module when it is wrapped)"
    )
