"""Residual blocks: modules that would hand their input on if their branches contributed nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from netsmith.contracts import Inputs
from netsmith.errors import EditError
from netsmith.graph.anatomy import Anatomy
from netsmith.graph.flow import ModuleCall, Step, Value, values_in
from netsmith.graph.ranges import Range, clamp_of, ranges_of
from netsmith.graph.recording import flow_of
from netsmith.graph.returned import UnknownForm, returned
from netsmith.graph.tracing import trace

MOVING = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "unsqueeze",
        "squeeze", "clone", "contiguous", "alias", "detach", "_to_copy", "roll", "flip",
    }
)  # fmt: skip
"""Operators that only move entries about, which together may come back to where they started."""


@dataclass(frozen=True)
class Block:
    """A module whose output is its input plus what its branches contribute.

    ``parameters`` and ``macs`` are what goes with it; ``returns`` says what a caller gets in its place, in
    the words of :class:`netsmith.layers.PassThrough`.
    """

    name: str
    parameters: int
    macs: int
    returns: Any


def blocks(model: nn.Module, inputs: Inputs) -> list[Block]:
    """Return the residual blocks of a model, in the order in which they run.

    A block is found from the operators, not from names: from the input of a module a path of residual
    additions leads to its output, on which entries end where they began and no clamp (a ReLU, say) changes a
    value of the input's proven range; its parameters serve nobody else, it is called once, and nothing else
    that it makes is read outside. Of nested blocks the innermost are returned.

    Raises:
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 32, 32))
        >>> [block.name for block in ns.graph.blocks(net, torch.zeros(1, 3, 32, 32))][:3]
        ['stage1.0', 'stage1.1', 'stage1.2']
    """
    found = [block for block in _Finder(model, inputs).every() if isinstance(block, Block)]
    names = [block.name for block in found]
    return [b for b in found if not any(name.startswith(f"{b.name}.") for name in names)]


def block_at(model: nn.Module, inputs: Inputs, path: str) -> Block:
    """Return the block that a module is, also where it holds smaller ones.

    Raises:
        EditError: it is none; says why.
        TraceError: the model does not run on the inputs.
    """
    found = _Finder(model, inputs).at(path)
    if isinstance(found, Block):
        return found
    raise EditError(f"module {path!r} is no residual block: {found}")


class _Finder:
    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self._anatomy = Anatomy.of(model)
        self._flow = flow_of(model, inputs)
        self._range_of = ranges_of(self._flow)
        self._macs = [
            (operation.module, operation.scale * prod(dim.size for dim in operation.iterations))
            for operation in trace(model, inputs).operations
            if operation.scale
        ]

    def every(self) -> list[Block | str]:
        return [self.at(path) for path in self._flow.calls_of if path]

    def at(self, path: str) -> Block | str:
        """Return a block, or why a module is none."""
        calls = self._flow.calls_of.get(path, [])
        if path not in self._anatomy.modules or not path:
            return "the model has no such module inside"
        if len(calls) != 1:
            return f"it is called {len(calls)} times"
        module, call = self._anatomy.modules[path], calls[0]
        own = {id(p): p.numel() for p in module.parameters()}
        reason = self._shared(path, own, call) or _hooked(module) if own else "it has no parameters"
        if reason:
            return reason
        outputs = values_in(call.result)
        source = next((v for v in call.values if outputs and self._hands_on(call, v, outputs[0])), None)
        if source is None:
            return "its output is not its input plus the branches"
        returns = returned(call, outputs[0], source)
        if isinstance(returns, UnknownForm):
            return f"it returns {returns.what}"
        reason = self._read_outside(call, outputs)
        if reason:
            return reason
        macs = sum(count for name, count in self._macs if name == path or name.startswith(f"{path}."))
        return Block(path, sum(own.values()), macs, returns)

    def _shared(self, path: str, own: dict[int, int], call: ModuleCall) -> str:
        modules = self._anatomy.modules
        inside = {id(module) for module in modules[path].modules()}
        for name, module in modules.items():
            if id(module) not in inside and any(id(p) in own for p in module.parameters(recurse=False)):
                return f"it shares a parameter with {name or 'the model itself'}"
        names = {name for name, tensor in self._anatomy.tensors.items() if id(tensor) in own}
        for number, name in self._flow.leaves.items():
            if name in names and any(not _within(s, call) for s in self._flow.readers.get(number, [])):
                return f"its parameter {name} is read outside of it"
        return ""

    def _hands_on(self, call: ModuleCall, source: Value, output: Value) -> bool:
        """Whether a module gives back one of its inputs when its branches are zero."""
        if source.shape != output.shape or source.dtype != output.dtype:
            return False
        bounds = self._range_of(source)
        paths: dict[int, list[Step]] = {source.number: []}
        for step in self._flow.inside(call):
            carried = [position for position, v in enumerate(step.operands) if v.number in paths]
            if len(carried) != 1 or not self._keeps(step, carried[0], bounds, call):
                continue
            paths[step.results[0].number] = [*paths[step.operands[carried[0]].number], step]
        path = paths.get(output.number, [])
        return any(_is_sum(step) for step in path) and _comes_back(path, source)

    def _keeps(self, step: Step, position: int, bounds: Range, call: ModuleCall) -> bool:
        """Whether a step leaves what comes in at ``position`` as it is, but for its place."""
        if _is_sum(step):
            branch = step.operands[1 - position]
            made_by = self._flow.producers.get(branch.number)
            scaled = position == 1 and step.argument(2, "alpha", 1) != 1
            same = branch.shape == step.operands[position].shape == step.results[0].shape
            return made_by is not None and _within(made_by, call) and not scaled and same
        clamp = clamp_of(step)
        if clamp is not None:
            return bounds.within(clamp)
        return step.name in MOVING and step.results[0].dtype == step.operands[0].dtype

    def _read_outside(self, call: ModuleCall, outputs: list[Value]) -> str:
        given = {value.number for value in call.values}
        held = {value.number for value in call.held}
        for step in self._flow.inside(call):
            for value in step.outputs:
                if value.number in held:
                    return "it leaves tensors in an object that it is given (a cache? run without it)"
                if value.number == outputs[0].number or value.number in given:
                    continue
                readers = self._flow.readers.get(value.number, [])
                if value.number in self._flow.outputs or any(not _within(r, call) for r in readers):
                    return "something it makes besides its output is read outside of it"
        return ""


def _is_sum(step: Step) -> bool:
    return step.name in ("add", "add_") and len(step.operands) == 2


def _within(step: Step, call: ModuleCall) -> bool:
    return call.start <= step.index < call.stop


def _hooked(module: nn.Module) -> str:
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    return "hooks are registered in it" if hooked else ""


def _comes_back(path: list[Step], source: Value) -> bool:
    """Whether entries end where they began, seen by moving their own positions."""
    start = places = torch.arange(prod(source.shape)).reshape(source.shape)
    for step in path:
        if step.name in MOVING:
            taken = places

            def here(_: Value, taken: Tensor = taken) -> Tensor:
                return taken

            arguments = tree_map_only(Value, here, step.arguments)
            keywords = {} if step.name in ("_to_copy", "clone") else step.keywords
            places = taken if step.name == "_to_copy" else step.function(*arguments, **keywords)
    return torch.equal(places, start)
