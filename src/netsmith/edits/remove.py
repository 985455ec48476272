"""Removing channels: the edit that makes a model really smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsmith.contracts import Keep
from netsmith.edits.attributes import mended
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record, records, remember
from netsmith.edits.slicing import apply, check_cuts, cut, drop_new, known, mend, noted, plain
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import Anatomy, collection_paused
from netsmith.wrappers import network


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
        that stay, ``"shapes"`` what they were cut from, ``"groups"`` the removed channels, ``"attributes"``
        the new sizes per module and ``"before"`` the old ones.

    Raises:
        EditError: ``keep`` does not fit the graph, or the graph does not fit the model.
    """
    plan = Plan.of(network(model), graph, keep)
    past = records(plan.model)
    if inplace:
        edited = plan.model
        for name in plan.cuts:
            plan.cut_in_place(name)
        mend(plan.anatomy.modules, plan.record["attributes"])
    else:
        tensors = {name: cut(plan.anatomy.tensors[name], name, cuts) for name, cuts in plan.cuts.items()}
        edited = apply(plan.model, plan.anatomy, tensors, plan.record["attributes"], inplace=False)
    remember(edited, past, [plan.record])
    return edited, [plan.record]


@dataclass(frozen=True)
class Plan:
    """A removal that fits its model and is still to be made."""

    model: nn.Module
    anatomy: Anatomy
    cuts: dict[str, dict[int, NDArray[np.int64]]]
    """Per tensor and dimension the indices that stay."""
    record: Record

    @classmethod
    def of(cls, model: nn.Module, graph: StructureGraph, keep: Keep) -> Plan:
        """Work out everything that removing what ``keep`` does not keep changes; see :func:`remove`."""
        anatomy = Anatomy.of(model)
        alive = graph.survivors(keep)
        cuts = graph.cuts(alive)
        for name, by_dim in cuts.items():
            if name not in anatomy.tensors:
                raise EditError(f"the model has no parameter or buffer {name!r}; trace this model again")
            check_cuts(anatomy.tensors[name], name, by_dim)
        shapes = graph.shapes(alive)
        attributes = plain(mended(anatomy.modules, graph, alive, {name: shapes[name] for name in cuts}))
        record = {
            "kind": "remove",
            "tensors": {
                name: {str(d): np.asarray(i).tolist() for d, i in by_dim.items()}
                for name, by_dim in cuts.items()
            },
            "attributes": attributes,
            "before": noted(anatomy.modules, attributes),
            "shapes": {name: list(anatomy.tensors[name].shape) for name in cuts},
            "groups": {
                name: (~mask).nonzero()[:, 0].tolist() for name, mask in keep.items() if not bool(mask.all())
            },
        }
        return cls(model, anatomy, cuts, record)

    def cut_in_place(self, name: str) -> None:
        """Cut one tensor; it stays the same object, and what it held before is free."""
        tensor = self.anatomy.tensors[name]
        tensor.grad = None
        tensor.data = cut(tensor, name, self.cuts[name])


def apply_record(model: nn.Module, record: Record) -> None:
    """Make a recorded removal again, on the model itself."""
    anatomy = Anatomy.of(model)
    own = anatomy.tensors
    for name, shape in record.get("shapes", {}).items():
        if list(known(own, name).shape) != shape:
            raise EditError(
                f"{name} has shape {tuple(own[name].shape)}, the record was made on one of {tuple(shape)}"
            )
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
    sizes = noted(source.modules, attributes)
    apply(model, anatomy, tensors, sizes, inplace=True)
    drop_new(anatomy.modules, attributes, sizes)


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
