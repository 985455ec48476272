"""The layer that makes a value, followed back to its weight: what an edit of its output may change."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from netsmith.graph.anatomy import Anatomy
from netsmith.graph.flow import Flow, Step, Value, values_in

SAME = frozenset({"clone", "alias", "detach", "contiguous", "_to_copy"})
PRODUCTS = {"convolution": 1, "mm": 1, "addmm": 2}
"""Where these operators have their weight; their bias is argument 2, none, 0."""


@dataclass(frozen=True)
class Producer:
    """A convolution or matrix product that alone uses its weight and its bias.

    ``dim`` is the dimension of the weight that makes channels, ``groups`` is over 1 where a transposed
    convolution has those of each group side by side, ``channels`` the channels' dimension in the value asked
    for; ``bias`` is empty where there is none.
    """

    weight: str
    bias: str
    dim: int
    groups: int
    channels: int
    passed: frozenset[int]
    """Numbers of the values on the way; nobody else reads them."""


def producer_of(flow: Flow, anatomy: Anatomy, value: Value) -> Producer | str:
    """Return the layer whose output reaches ``value`` unread by others, or why there is none."""
    passed, back = {value.number}, [value]
    moves: list[Step] = []
    while True:
        here = back[-1]
        step = flow.producers.get(here.number)
        if step is None or len(step.results) != 1 or step.overwritten:
            return "nothing that could take it up comes before it"
        if flow.only_reader(here) is None:
            return "what it normalises is also read elsewhere"
        if step.name in PRODUCTS:
            break
        if step.name not in (*SAME, "view", "_unsafe_view", "permute", "transpose", "t"):
            return f"{step.name} stands between it and the layer before"
        moves.append(step)
        back.append(step.operands[0])
        passed.add(step.operands[0].number)
    channels = 1 if step.name == "convolution" else len(back[-1].shape) - 1
    for move in reversed(moves):
        moved = _moved(move, channels)
        if moved is None:
            return "the channels are reshaped on the way"
        channels = moved
    return _layer(flow, anatomy, step, channels, frozenset(passed))


def _moved(step: Step, dim: int) -> int | None:
    """Return where a dimension goes in a step that rearranges dimensions."""
    before, after = step.operands[0].shape, step.results[0].shape
    if step.name in SAME:
        return dim
    if step.name == "t":
        return len(before) - 1 - dim
    if step.name == "permute":
        return [int(d) % len(before) for d in step.arguments[1]].index(dim)
    if step.name == "transpose":
        first, second = (int(d) % len(before) for d in step.arguments[1:3])
        return {first: second, second: first}.get(dim, dim)
    if dim == len(before) - 1 and after[-1] == before[-1]:
        return len(after) - 1
    return dim if after[: dim + 1] == before[: dim + 1] else None


def _layer(flow: Flow, anatomy: Anatomy, step: Step, channels: int, passed: frozenset[int]) -> Producer | str:
    convolution = step.name == "convolution"
    weight, dim = _leaf(flow, step, step.arguments[PRODUCTS[step.name]])
    transposed, groups = (bool(step.arguments[6]), int(step.arguments[8])) if convolution else (False, 1)
    if weight not in anatomy.parameters:
        return "the weight before it is computed, shared, or no parameter"
    dim = (1 if transposed else 0) if convolution else 1 - dim
    given = step.arguments[2] if convolution else step.arguments[0] if step.name == "addmm" else None
    bias = ""
    if given is not None:
        bias, _ = _leaf(flow, step, given)
        if bias not in anatomy.parameters or len(given.shape) != 1:
            return "the bias before it is computed, shared, or no parameter"
    elif not hasattr(anatomy.modules[weight.rpartition(".")[0]], "bias"):
        return "the layer before it has no place for a bias"
    return Producer(weight, bias, dim, groups if transposed else 1, channels, passed)


def _leaf(flow: Flow, step: Step, value: Value) -> tuple[str, int]:
    """Return the tensor that only this step reads, and 1 where it reads it transposed."""
    readers = flow.readers.get(value.number, [])
    if len(readers) != 1:
        return "", 0
    if value.number in flow.leaves:
        return flow.leaves[value.number], 0
    before = flow.producers.get(value.number)
    if before is not None and before.name in ("t", "transpose") and len(value.shape) == 2:
        name, turned = _leaf(flow, before, before.operands[0])
        return name, 1 - turned
    return "", 0


def looked_at(flow: Flow, anatomy: Anatomy, values: frozenset[int]) -> str:
    """Return why a value may not change on its way: a hook sees it, or a module that acts in training."""
    for call in flow.calls:
        module = anatomy.modules[call.path]
        taken = any(value.number in values for value in call.values)
        made = any(value.number in values for value in values_in(call.result))
        if (made and (module._forward_hooks or module._backward_hooks)) or (
            taken and module._forward_pre_hooks
        ):
            return f"a hook on {call.path or 'the model'} sees what is before it"
        if taken and made:
            idle = call.start == call.stop and not list(module.children())
            if idle and not isinstance(module, nn.Identity):
                return f"{call.path} stands between it and the layer before, and acts in training"
    return ""
