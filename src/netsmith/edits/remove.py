"""Removing channels: the edit that makes a model really smaller."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from netsmith.contracts import Keep
from netsmith.edits.attributes import mended
from netsmith.edits.records import Record, apply, cut, records, remember
from netsmith.errors import EditError
from netsmith.graph import StructureGraph
from netsmith.graph.anatomy import Anatomy, collection_paused


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
        The smaller model, of the same class, and the records of what was done.

    Raises:
        EditError: ``keep`` does not fit the graph, or the graph does not fit the model.
    """
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
        "attributes": attributes,
        "groups": {
            name: (~mask).nonzero()[:, 0].tolist() for name, mask in keep.items() if not bool(mask.all())
        },
    }
    edited = apply(model, anatomy, tensors, attributes, inplace=inplace)
    remember(edited, past, [record])
    return edited, [record]
