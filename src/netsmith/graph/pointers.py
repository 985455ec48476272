"""Integer tensors that hold positions along a dimension of channels, as a choice of experts does.

When channels go, positions change with them. That is right where a position is only used to look something up
along the same channels; whatever else is done with one keeps all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from netsmith.graph.axes import Dim

if TYPE_CHECKING:
    from netsmith.graph.tracer import Call, Tracer

CARRYING = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "unsqueeze", "squeeze", "permute", "transpose",
        "t", "expand", "clone", "contiguous", "alias", "detach", "select", "slice", "split",
        "split_with_sizes", "unbind", "repeat", "lift_fresh", "_to_copy",
    }
)  # fmt: skip
"""Operators that hand positions on as they are."""
LOOKING_UP = frozenset({"gather", "index", "index_select", "embedding", "scatter", "scatter_", "scatter_add"})
"""Operators whose rules tie the dimension that positions are looked up along to the channels pointed to."""
CLASSES = "classes"
"""The name under which a one-hot encoding's number of classes is given."""


class Pointers:
    """Which tensors point to which channels."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, Dim]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def mark(self, tensor: Tensor, axis: Dim) -> None:
        """Note that a tensor holds positions along a dimension."""
        self._known[id(tensor)] = (tensor, axis)

    def of(self, tensor: object) -> Dim | None:
        """Return the dimension whose positions a tensor holds."""
        known = self._known.get(id(tensor))
        return known[1] if known is not None else None

    def guard(self, tracer: Tracer, call: Call) -> None:
        """Keep all channels whose positions an operator does more with than hand them on or look them up."""
        for number, tensor in enumerate(call.tensors):
            axis = self.of(tensor)
            if axis is None or _harmless(tracer, call, number):
                continue
            tracer.freeze(axis, f"{call.operation.name} of positions along it")
            del self._known[id(tensor)]

    def follow(self, call: Call) -> None:
        """Note where positions were handed on to."""
        axis = self.of(call.args[0]) if call.args else None
        if axis is None or call.operation.name not in CARRYING:
            return
        outputs = [call.output] if isinstance(call.output, Tensor) else call.output
        for output in outputs:
            self.mark(output, axis)


def _harmless(tracer: Tracer, call: Call, number: int) -> bool:
    name = call.operation.name
    if name in CARRYING:
        outputs = call.output if isinstance(call.output, (list, tuple)) else [call.output]
        return all(not output.is_floating_point() for output in outputs)
    if name in LOOKING_UP:
        return number == 1 or (name == "index" and number > 0)
    return CLASSES in tracer.given and name in ("aminmax", "eq")


def looked_up(tracer: Tracer, axis: Dim, index: object, reason: str) -> Dim:
    """Return a dimension that is looked up by index: it stays, or has the channels pointed to."""
    pointed = tracer.pointers.of(index)
    if pointed is None or pointed.size != axis.size:
        if pointed is not None:
            tracer.freeze(pointed, reason)
        return tracer.freeze(axis, reason)
    return tracer.equate(axis, pointed).without_leaf()
