"""Sequences and bags of different lengths, laid end to end."""

from __future__ import annotations

from torch import Tensor

from netsmith.graph.axes import Axes, Dim, fixed
from netsmith.graph.rules.indexing import BY_INDEX
from netsmith.graph.tracer import Call, Tracer

PACKED = "the positions of packed sequences"


def pack(tracer: Tracer, call: Call) -> list[Axes]:
    """``_pack_padded_sequence(padded, lengths, batch_first)``: time and batch become one, the rest passes."""
    time, batch, *rest = tracer.axes(call.args[0])
    for dim in (time, batch):
        tracer.freeze(dim, PACKED)
    data, sizes = call.output
    return [(fixed(data.shape[0], PACKED), *rest), (fixed(sizes.shape[0], PACKED),)]


def embedding_bag(tracer: Tracer, call: Call) -> list[Axes]:
    """``_embedding_bag(table, indices, offsets, ...)``: rows are pooled per bag, the width is free."""
    rows, width = tracer.axes(call.args[0])
    tracer.freeze(rows, BY_INDEX)
    tracer.produce(width.leaf)
    free = width.without_leaf()

    def axes_of(output: Tensor) -> Axes:
        wide = output.dim() == 2 and output.shape[1] == width.size
        last: tuple[Dim, ...] = (free,) if wide else ()
        shape = output.shape[:1] if wide else output.shape
        return (*(fixed(size, BY_INDEX) for size in shape), *last)

    return [axes_of(output) for output in call.output]


RULES = {
    "_pack_padded_sequence": pack,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), embedding_bag),
}
