"""Where accuracy was lost: what each group's cut alone does to the network before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netsmith.errors import NetsmithError
from netsmith.tasks.batches import size_of

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.edits.records import Record
    from netsmith.tasks.task import Task

SAMPLES = 512
MOST_GROUPS = 40


def sensitivity(
    dense: nn.Module, inputs: Inputs, task: Task, records: Sequence[Record]
) -> dict[str, Any] | None:
    """Return the accuracy of the original with one group cut at a time, hardest cut first.

    Each group loses the channels that the records say it lost, all others stay whole and nothing is trained
    afterwards; what the drops add up to need not be what the whole cut cost.

    Args:
        dense: the network before the cut, left as it is.
        inputs: example inputs.
        task: its first held-out examples are measured on.
        records: what was done to the network; removals are counted up to the first edit of another kind.

    Returns:
        ``samples``, ``accuracy`` (0 to 1, of ``dense`` on these) and ``groups``, each with ``group``,
        ``size``, ``kept`` and ``accuracy`` (None for a group that cannot be cut alone); None if nothing was
        removed.
    """
    from netsmith.graph import trace

    lost = _lost(records)
    if not lost:
        return None
    graph = trace(dense, inputs)
    sizes = {group.name: group.size for group in graph.groups}
    known = [name for name in lost if name in sizes]
    known.sort(key=lambda name: -len(lost[name]) / sizes[name])
    part = _part(task)
    groups = []
    for name in known[:MOST_GROUPS]:
        accuracy = _alone(dense, graph, name, sizes[name], lost[name], part)
        kept = sizes[name] - len(lost[name])
        groups.append({"group": name, "size": sizes[name], "kept": kept, "accuracy": accuracy})
    return {"samples": size_of(part.test), "accuracy": part.evaluate(dense), "groups": groups}


def scored_away(found: dict[str, Any] | None) -> list[str]:
    """Return a line for the groups of which the method would have removed every channel."""
    groups = [] if found is None else found["groups"]
    away = [group["group"] for group in groups if group["kept"] == 1 and group["size"] > 1]
    if not away:
        return []
    return [
        f"all channels but one were cut from {', '.join(away)}; one had to stay: a larger budget, "
        "scope=local, or another method may keep more accuracy"
    ]


def _lost(records: Sequence[Record]) -> dict[str, set[int]]:
    """Return per group the channels removed, in the numbering of the first record."""
    lost: dict[str, set[int]] = {}
    for record in records:
        if record.get("kind") != "remove":
            break
        for name, channels in record["groups"].items():
            before = lost.setdefault(name, set())
            # The n-th channel that was still there.
            left = [k for k in range(len(before) + max(channels, default=-1) + 1) if k not in before]
            before.update(left[channel] for channel in channels)
    return {name: channels for name, channels in lost.items() if channels}


def _alone(dense: nn.Module, graph: Any, name: str, size: int, lost: set[int], task: Task) -> float | None:
    import torch

    from netsmith.edits import remove

    keep = torch.tensor([channel not in lost for channel in range(size)])
    try:
        smaller, _ = remove(dense, graph, {name: keep})
        return task.evaluate(smaller)
    except (NetsmithError, RuntimeError):
        # Groups of which equal numbers must go cannot go alone.
        return None


def _part(task: Task) -> Task:
    from torch.utils.data import Subset

    if size_of(task.test) <= SAMPLES or hasattr(task.test, "collate"):
        return task
    return replace(task, test=Subset(task.test, range(SAMPLES)))
