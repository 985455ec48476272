"""Edits: changes of a model's shape, recorded so that they can be replayed, saved and followed."""

from netsmith.edits.optimizer import rebind
from netsmith.edits.records import records, replay
from netsmith.edits.remove import remove

__all__ = ["rebind", "records", "remove", "replay"]
