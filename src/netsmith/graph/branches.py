"""Where residual branches end: the normalisation whose output is added to what went around it."""

from __future__ import annotations

from collections.abc import Iterator

from netsmith.graph.flow import Flow, Step, Value

NORMS = frozenset(
    {
        "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
        "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_no_update", "native_group_norm",
    }
)  # fmt: skip


def branch_ends(flow: Flow) -> dict[str, int]:
    """Return the modules that end the branches of residual additions of maps, with their channels.

    An addition of two maps is residual where both come from one source and one of the two is what a
    normalisation makes for it alone, behind more convolutions of its own than the other: that one is the
    branch, whatever stands in the shortcut. Modules are named by path, in the order in which they run.
    """
    found: dict[str, int] = {}
    for step in flow.steps:
        if step.name not in ("add", "add_") or len(step.operands) != 2:
            continue
        first, second = step.operands
        if len(first.shape) != 4 or first.shape != second.shape:
            continue
        for branch, other in ((first, second), (second, first)):
            path = _normalised_by(flow, branch, step)
            if path and _is_longer(flow, branch, other):
                found[path] = branch.shape[1]
    return found


def _normalised_by(flow: Flow, value: Value, reader: Step) -> str:
    """Return the path of the innermost module whose result is a normalisation's, for one reader alone."""
    step = flow.producers.get(value.number)
    if step is None or step.name not in NORMS or flow.only_reader(value) is not reader:
        return ""
    calls = [c for c in flow.calls if c.start <= step.index < c.stop and c.result == value and c.path]
    return min(calls, key=lambda call: call.stop - call.start).path if calls else ""


def _is_longer(flow: Flow, branch: Value, other: Value) -> bool:
    ours, theirs = set(_made_by(flow, branch)), set(_made_by(flow, other))
    alike = bool(ours & theirs) or not theirs  # without steps behind it, the other one is the model's input
    return alike and _convolutions(ours - theirs) > _convolutions(theirs - ours)


def _made_by(flow: Flow, value: Value) -> Iterator[Step]:
    """Yield the steps that a value depends on."""
    waiting, seen = [value.number], {value.number}
    while waiting:
        step = flow.producers.get(waiting.pop())
        if step is not None:
            yield step
            new = {one.number for one in step.inputs} - seen
            seen |= new
            waiting += new


def _convolutions(steps: set[Step]) -> int:
    return sum(step.name == "convolution" for step in steps)
