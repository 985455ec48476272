"""Removing channels: the edit that makes a model really smaller."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.contracts import Keep
from netsmith.edits.attributes import mended
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record, records, remember
from netsmith.edits.slicing import apply, cut, known, noted, plain
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import Anatomy, collection_paused
from netsmith.wrappers import unwrapped


@collection_paused()
def remove(
    model: nn.Module, graph: StructureGraph, keep: Keep, *, inplace: bool = False
) -> tuple[nn.Module, list[Record]]:
    """Remove the channels that ``keep`` does not keep, with everything coupled to them.

    Args:
        model: the model the graph was traced from (or one of the same architecture).
        graph: its structure graph.
        keep: per group which channels stay; groups not named stay whole.
        inplace: edit ``model`` itself; its parameters stay the same objects, so that an optimiser keeps them.

    Returns:
        The smaller model, of the same class, and the records of what was done: ``"tensors"`` has the indices
        that stay, ``"groups"`` the removed channels, ``"attributes"`` the new sizes per module and
        ``"before"`` the old ones.

    Raises:
        EditError: ``keep`` does not fit the graph, or the graph does not fit the model.
    """
    model = unwrapped(model)
    anatomy = Anatomy.of(model)
    own = anatomy.tensors
    alive = graph.survivors(keep)
    cuts = graph.cuts(alive)
    for name in cuts:
        if name not in own:
            raise EditError(f"the model has no parameter or buffer {name!r}; trace this model again")
    tensors = {name: cut(own[name], name, by_dim) for name, by_dim in cuts.items()}
    attributes = mended(
        anatomy.modules, graph, alive, {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    )
    past = records(model)
    record: dict[str, Any] = {
        "kind": "remove",
        "tensors": {
            name: {str(d): np.asarray(i).tolist() for d, i in cut_.items()} for name, cut_ in cuts.items()
        },
        "attributes": plain(attributes),
        "before": noted(anatomy.modules, attributes),
        "groups": {
            name: (~mask).nonzero()[:, 0].tolist() for name, mask in keep.items() if not bool(mask.all())
        },
    }
    edited = apply(model, anatomy, tensors, attributes, inplace=inplace)
    remember(edited, past, [record])
    return edited, [record]


def apply_record(model: nn.Module, record: Record) -> None:
    """Make a recorded removal again, on the model itself."""
    anatomy = Anatomy.of(model)
    own = anatomy.tensors
    tensors = {
        name: cut(known(own, name), name, {int(dim): kept for dim, kept in cuts.items()})
        for name, cuts in record["tensors"].items()
    }
    apply(model, anatomy, tensors, record.get("attributes", {}), inplace=True)


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Put removed slices back: they come from ``before``, what stayed keeps its present values.

    Raises:
        EditError: without ``before`` nobody knows what was removed.
    """
    if before is None:
        raise EditError("undoing a removal needs original=, the model that still has the removed channels")
    anatomy, source = Anatomy.of(model), Anatomy.of(before)
    own, theirs = anatomy.tensors, source.tensors
    tensors = {
        name: _filled(known(theirs, name), known(own, name), cuts) for name, cuts in record["tensors"].items()
    }
    attributes = record.get("attributes", {})
    apply(model, anatomy, tensors, noted(source.modules, attributes), inplace=True)


def _filled(whole: Tensor, part: Tensor, cuts: dict[str, list[int]]) -> Tensor:
    """Return ``whole`` with ``part`` at the indices it was cut to."""
    result = whole.detach().to(part.device, part.dtype, copy=True)
    indices = [torch.arange(size) for size in whole.shape]
    for dim, kept in cuts.items():
        indices[int(dim)] = torch.as_tensor(kept)
    result[torch.meshgrid(*(i.to(part.device) for i in indices), indexing="ij")] = part.detach()
    return result


def describe_record(record: Record) -> str:
    """Return one line: how many channels went from which groups."""
    parts = [f"{len(gone)} channels from {name}" for name, gone in record.get("groups", {}).items()]
    return f"remove {', '.join(parts) or 'nothing'}"


KIND = Kind(apply_record, invert_record, describe_record)
