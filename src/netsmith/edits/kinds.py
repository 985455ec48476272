"""What every kind of edit can do with its records: one table, one line per kind."""

from __future__ import annotations

from netsmith.edits.attend import KIND as ATTEND
from netsmith.edits.bypass import KIND as BYPASS
from netsmith.edits.deepen import KIND as DEEPEN
from netsmith.edits.factorise import KIND as FACTORISE
from netsmith.edits.fold import KIND as FOLD
from netsmith.edits.kind import Kind
from netsmith.edits.merge import KIND as MERGE
from netsmith.edits.records import Record
from netsmith.edits.remove import KIND as REMOVE
from netsmith.edits.split import KIND as SPLIT
from netsmith.edits.widen import KIND as WIDEN
from netsmith.errors import EditError

KINDS: dict[str, Kind] = {
    "attend": ATTEND,
    "bypass": BYPASS,
    "deepen": DEEPEN,
    "factorise": FACTORISE,
    "fold": FOLD,
    "merge": MERGE,
    "remove": REMOVE,
    "split": SPLIT,
    "widen": WIDEN,
}


def kind_of(record: Record) -> Kind:
    """Return what can be done with a record.

    Raises:
        EditError: nobody knows its kind.
    """
    name = record.get("kind") if isinstance(record, dict) else None
    if name not in KINDS:
        known = ", ".join(repr(kind) for kind in KINDS)
        raise EditError(f"no edit is of kind {name!r}; known: {known}")
    return KINDS[name]


def describe(record: Record) -> str:
    """Return one line of text that says what an edit did.

    Raises:
        EditError: nobody knows the record's kind.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> [ns.edits.describe(record) for record in ns.records(ns.shrink(net, torch.zeros(1, 8), ratio=0.5))]
        ['remove 3 channels from 0.weight:0']
    """
    return kind_of(record).describe(record)
