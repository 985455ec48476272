"""Taking edits back, newest first."""

from __future__ import annotations

from torch import nn

from netsmith.edits.copying import copy_with
from netsmith.edits.kinds import kind_of
from netsmith.edits.records import Record, records, remember
from netsmith.edits.replay import fitting, replay
from netsmith.errors import EditError
from netsmith.wrappers import network


def undo(model: nn.Module, original: nn.Module | None = None, *, steps: int = 1) -> nn.Module:
    """Take back the newest edits of a model, with the values that its weights have now.

    Edits that only added are taken back by themselves: copies of a split channel become one again (what reads
    them is added up, the rest averaged, which is exact while the copies are alike), fresh channels go.
    What was removed comes from ``original``; what stayed keeps its present values.

    Args:
        model: an edited model; untouched.
        original: a model from before those edits, with no record that ``model`` has not.
        steps: how many edits to take back.

    Returns:
        A model of the structure it had before, with the records up to there.

    Raises:
        EditError: there are not that many edits, one of them needs ``original``, or that is another model.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> small = ns.shrink(net, torch.zeros(1, 8), ratio=0.5)
        >>> ns.edits.undo(small, net)[0]
        Linear(in_features=8, out_features=6, bias=True)
    """
    model, original = network(model), original if original is None else network(original)
    past = records(model)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= len(past):
        raise EditError(f"cannot undo steps={steps!r} of the {len(past)} edits this model has been through")
    edited = copy_with(model, model.modules(), {})
    for number in range(len(past) - 1, len(past) - steps - 1, -1):
        before = None if original is None else _stage(original, past[:number])
        fitting(kind_of(past[number]).invert, edited, past[number], number, before)
    remember(edited, past[: len(past) - steps], [])
    return edited


def _stage(original: nn.Module, past: list[Record]) -> nn.Module:
    """Return the original after some of the edits."""
    done = records(original)
    if past[: len(done)] != done:
        raise EditError(
            f"original has been through {len(done)} edits that are not the first of the model's; "
            "give a model from before the edits to undo"
        )
    return replay(original, past[len(done) :]) if len(past) > len(done) else original
