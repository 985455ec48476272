"""Edits: changes of a model's shape, recorded so that they can be replayed, saved and followed."""

from netsmith.edits.kinds import describe
from netsmith.edits.optimizer import rebind
from netsmith.edits.records import records
from netsmith.edits.remove import remove
from netsmith.edits.replay import replay

__all__ = ["describe", "rebind", "records", "remove", "replay"]
