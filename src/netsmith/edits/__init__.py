"""Edits: changes of a model's shape, recorded so that they can be replayed, saved and followed."""

from netsmith.edits.attend import attend
from netsmith.edits.bypass import bypass
from netsmith.edits.deepen import deepen
from netsmith.edits.factorise import factorise
from netsmith.edits.fold import fold
from netsmith.edits.kinds import describe
from netsmith.edits.merge import merge
from netsmith.edits.optimizer import rebind
from netsmith.edits.records import records
from netsmith.edits.remove import remove
from netsmith.edits.replay import replay
from netsmith.edits.split import split
from netsmith.edits.undo import undo
from netsmith.edits.widen import widen

__all__ = [
    "attend",
    "bypass",
    "deepen",
    "describe",
    "factorise",
    "fold",
    "merge",
    "rebind",
    "records",
    "remove",
    "replay",
    "split",
    "undo",
    "widen",
]
