"""Edits on trial: made in place, and taken back when what is tried with them fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.contracts import Keep
from netsmith.edits.bypass import bypass
from netsmith.edits.records import records, remember
from netsmith.edits.remove import Plan
from netsmith.edits.slicing import mend
from netsmith.edits.transaction import modules_as_they_are, put_back
from netsmith.graph import Block, StructureGraph
from netsmith.graph.anatomy import Anatomy


@contextmanager
def removed(model: nn.Module, graph: StructureGraph, keep: Keep) -> Iterator[None]:
    """Remove channels in place as :func:`netsmith.edits.remove` does; put them back if the block raises.

    Tensor by tensor what goes is put aside and what stays takes its place, so that model and put-aside slices
    together are never larger than the model was, but for the one tensor at work.

    Raises:
        EditError: as from :func:`netsmith.edits.remove`; nothing has been changed then.
    """
    plan, past = Plan.of(model, graph, keep), records(model)
    tensors, modules = plan.anatomy.tensors, modules_as_they_are(plan.anatomy)
    gradients = [(tensors[name], tensors[name].grad) for name in plan.cuts]
    aside: list[tuple[Tensor, list[_Slices]]] = []
    try:
        for name in plan.cuts:
            aside.append((tensors[name], _put_aside(tensors[name], plan.cuts[name])))
            plan.cut_in_place(name)
        mend(plan.anatomy.modules, plan.record["attributes"])
        remember(model, past, [plan.record])
        yield
    except BaseException:
        for tensor, slices in aside:
            for one in reversed(slices):
                tensor.data = one.beside(tensor.data)
        for tensor, gradient in gradients:
            tensor.grad = gradient
        put_back(modules)
        remember(model, past, [])
        raise


@contextmanager
def bypassed(model: nn.Module, blocks: Iterable[Block]) -> Iterator[None]:
    """Take blocks out in place as :func:`netsmith.edits.bypass` does; put them back if the block raises.

    Raises:
        EditError: as from :func:`netsmith.edits.bypass`; nothing has been changed then.
    """
    past, modules = records(model), modules_as_they_are(Anatomy.of(model))
    try:
        bypass(model, blocks, inplace=True)
        yield
    except BaseException:
        put_back(modules)
        remember(model, past, [])
        raise


class _Slices(NamedTuple):
    """What goes from one dimension of a tensor, after the dimensions before it were cut."""

    dim: int
    kept: Tensor
    gone: Tensor
    values: Tensor

    def beside(self, tensor: Tensor) -> Tensor:
        """Return the tensor with these slices back in their places, unless they still are."""
        shape = list(tensor.shape)
        if shape[self.dim] == len(self.kept) + len(self.gone):
            return tensor
        shape[self.dim] = len(self.kept) + len(self.gone)
        whole = tensor.new_empty(shape)
        whole.index_copy_(self.dim, self.kept, tensor)
        return whole.index_copy_(self.dim, self.gone, self.values)


def _put_aside(tensor: Tensor, cuts: dict[int, np.ndarray]) -> list[_Slices]:
    found, left = [], tensor.detach()
    for dim, indices in cuts.items():
        kept = torch.as_tensor(indices, dtype=torch.long, device=tensor.device)
        stays = torch.zeros(left.shape[dim], dtype=torch.bool, device=tensor.device)
        stays[kept] = True
        gone = (~stays).nonzero()[:, 0]
        found.append(_Slices(dim, kept, gone, left.index_select(dim, gone)))
        left = left.index_select(dim, kept)
    return found
