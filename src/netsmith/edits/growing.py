"""Tensors and records of the edits in which channels become several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsmith.contracts import Inputs
from netsmith.edits.attributes import mended
from netsmith.edits.gathering import along, ordinals
from netsmith.edits.records import Record, records, remember
from netsmith.edits.same_function import check_same
from netsmith.edits.sharing import Shared, Sharing
from netsmith.edits.slicing import apply, cut, known, noted, plain
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import Anatomy
from netsmith.graph.copying import copied
from netsmith.wrappers import network

Shares = Mapping[int, Sequence[float]]
"""Per channel number the share of each of its copies."""


def grow_channels(
    model: nn.Module,
    graph: StructureGraph,
    copies: Mapping[str, Tensor],
    shares: Shares,
    extra: Record,
    *,
    alike: bool,
    inplace: bool,
    offsets: Mapping[str, Tensor] | None = None,
    inputs: Inputs | None = None,
) -> tuple[nn.Module, list[Record]]:
    """Make each channel of some groups into ``copies`` of it, and record that.

    ``alike`` says whether copies carry the same values, ``extra`` is the beginning of the record. With
    ``inputs`` the output is compared before and after.
    """
    model = network(model)
    anatomy = Anatomy.of(model)
    counts = graph.survivors(copies).astype(np.int64)
    factors = Sharing(graph, counts, alike=alike).find()
    record: Record = {**extra, **_layout(graph, counts, factors, shares)}
    record["shapes"] = {n: list(anatomy.tensors[n].shape) for n in record["tensors"] if n in anatomy.tensors}
    for name in record["tensors"]:
        if known(anatomy.tensors, name).dim() <= max(map(int, record["tensors"][name])):
            raise EditError(f"{name} is not as the graph has it; trace this model again")
    if offsets:
        record["offsets"] = _offsets(anatomy.tensors, record, offsets)
    tensors = grown(anatomy.tensors, record)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    attributes = mended(anatomy.modules, graph, counts, shapes)
    record["attributes"] = plain(attributes)
    record["before"] = noted(anatomy.modules, attributes)
    past = records(model)
    if inputs is not None:
        check_same(model, apply(model, anatomy, tensors, attributes, inplace=False), inputs)
    edited = apply(model, anatomy, tensors, attributes, inplace=inplace)
    remember(edited, past, [record])
    return edited, [record]


def _layout(graph: StructureGraph, counts: NDArray[np.int64], factors: Shared, shares: Shares) -> Record:
    """Return which old index each new one is, the shares it takes or its gradient does, and what makes them.

    A copy whose output counts with a share s has s times the gradient of the channel it comes from; a slice
    that is multiplied with the share itself has the whole one.
    """
    tensors: dict[str, dict[str, list[int]]] = {}
    multiplied: dict[str, dict[str, list[float]]] = {}
    gradients: dict[str, dict[str, list[float]]] = {}
    made: dict[str, list[int]] = {}
    share = _share_table(counts, shares)
    for leaf, dim in graph.leaves():
        if not dim.owners or (graph.kept(dim, counts) == 1).all():
            continue
        rows = graph.owners(dim)
        index, numbers = copied(rows, counts)
        tensors.setdefault(leaf.tensor, {})[str(leaf.dim)] = index.tolist()
        owners = rows[index]
        takes = np.isin(owners, list(factors.get(leaf, ())))
        for found, chosen in ((multiplied, takes), (gradients, ~takes)):
            factor = np.where(chosen, share[owners, numbers], 1.0).prod(axis=1)
            if (factor != 1).any():
                found.setdefault(leaf.tensor, {})[str(leaf.dim)] = factor.tolist()
        if graph.role(leaf) == "out":
            made.setdefault(leaf.tensor, []).append(leaf.dim)
    return {"tensors": tensors, "shares": multiplied, "gradients": gradients, "made": made}


def _offsets(own: Mapping[str, Tensor], record: Record, given: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what is added to the copies in each tensor, in its new shape, as nested lists."""
    result = {}
    for name, offset in given.items():
        dims = record["made"].get(name)
        if not dims:
            raise EditError(f"offsets are given for {name}, which makes no channel that is split")
        indices = {int(dim): index for dim, index in record["tensors"][name].items()}
        copy = torch.as_tensor(ordinals(indices[dims[0]]))
        expected = (int(copy.max()) + 1, *own[name].shape)
        if offset.shape != expected:
            raise EditError(f"offsets of {name} have shape {tuple(offset.shape)}, expected {expected}")
        if not bool(torch.isfinite(offset).all()):
            raise EditError(f"offsets of {name} hold NaN or infinity")
        wide = torch.stack([cut(one, name, indices) for one in offset])
        single = torch.bincount(torch.as_tensor(indices[dims[0]]))[indices[dims[0]]] == 1
        chosen = torch.zeros_like(wide[0])
        for number, one in enumerate(wide):
            chosen = torch.where(along((copy == number) & ~single, dims[0], one).bool(), one, chosen)
        result[name] = chosen.tolist()
    return result


def _share_table(counts: NDArray[np.int64], shares: Shares) -> NDArray[np.float64]:
    """Return the share of every copy of every channel, ``[channels, copies]``; equal ones by default."""
    table = np.repeat(1.0 / counts[:, None], int(counts.max()), axis=1)
    for channel, given in shares.items():
        table[channel, : len(given)] = given
    return table


def grown(own: Mapping[str, Tensor], record: Record) -> dict[str, Tensor]:
    """Return the tensors that a record of growing channels changes, as they will be."""
    result = {}
    for number, (name, indices) in enumerate(record["tensors"].items()):
        old = known(own, name)
        new = cut(old, name, {int(dim): index for dim, index in indices.items()})
        if name in record.get("offsets", {}):
            new = new + torch.as_tensor(record["offsets"][name], dtype=new.dtype, device=new.device)
        if "seed" in record:
            new = _with_fresh(old, new, record, name, number)
        for dim, factor in record["shares"].get(name, {}).items():
            new = new * along(factor, int(dim), new)
        result[name] = new
    return result


def _with_fresh(old: Tensor, new: Tensor, record: Record, name: str, number: int) -> Tensor:
    """Fill the added slices of weights that make channels with random values of the tensor's own spread."""
    if old.dim() < 2 or not old.is_floating_point() or old.is_meta:
        return new
    generator = torch.Generator().manual_seed(record["seed"] + number)
    spread = float(old.detach().double().std())
    for dim in record["made"].get(name, []):
        added = torch.as_tensor(ordinals(record["tensors"][name][str(dim)]) > 0, device=new.device)
        values = torch.randn(new.shape, generator=generator, dtype=torch.float64) * spread
        shape = [1] * new.dim()
        shape[dim] = -1
        new = torch.where(added.reshape(shape), values.to(new.device, new.dtype), new)
    return new


def apply_record(model: nn.Module, record: Record) -> None:
    """Grow the recorded channels again, on the model itself."""
    anatomy = Anatomy.of(model)
    _check_sizes(anatomy, record)
    apply(model, anatomy, grown(anatomy.tensors, record), record["attributes"], inplace=True)


def _check_sizes(anatomy: Anatomy, record: Record) -> None:
    for name, indices in record["tensors"].items():
        for dim, index in indices.items():
            shape = known(anatomy.tensors, name).shape
            if len(shape) <= int(dim) or shape[int(dim)] != max(index) + 1:
                raise EditError(
                    f"{name} of shape {tuple(shape)} has not {max(index) + 1} indices along dimension {dim}; "
                    "the record was made on another model"
                )
