"""Recording the data flow of one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from netsmith.calling import call_arguments
from netsmith.contracts import Inputs
from netsmith.errors import TraceError
from netsmith.graph.anatomy import Anatomy
from netsmith.graph.flow import Flow, ModuleCall, Step, Value
from netsmith.graph.running import describe, plain_kernels, tensors_in
from netsmith.graph.tracer import operator_name, tensor_arguments
from netsmith.modes import evaluating
from netsmith.wrappers import uncompiled


def flow_of(model: nn.Module, inputs: Inputs) -> Flow:
    """Run a model once in evaluation mode, on ``meta`` where it can, and return what flowed where.

    The model is left as found.

    Raises:
        TraceError: the model does not run on these inputs.
    """
    anatomy = Anatomy.of(model)
    try:
        return _run(model, inputs, anatomy, on_meta=True)
    except Exception:
        # What cannot run without values runs with them; if that fails too, the error is the user's.
        return _run(model, inputs, anatomy, on_meta=False)


def _run(model: nn.Module, inputs: Inputs, anatomy: Anatomy, *, on_meta: bool) -> Flow:
    recorder = _Recorder(anatomy)
    args, kwargs = call_arguments(inputs)
    with ExitStack() as stack:
        tensors = anatomy.tensors
        if on_meta:
            tensors = {
                name: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="meta")
                for name, t in tensors.items()
            }
            replaced = {id(old): tensors[name] for name, old in anatomy.tensors.items()}
            stack.enter_context(anatomy.replaced(replaced))
            args, kwargs = tree_map_only(Tensor, lambda t: t.detach().to("meta"), (args, kwargs))
        else:
            stack.enter_context(_buffers_kept(anatomy))
        for name, tensor in tensors.items():
            recorder.flow.leaves[recorder.value(tensor).number] = name
        stack.enter_context(evaluating(model))
        stack.enter_context(uncompiled())
        stack.enter_context(recorder.watching())
        stack.enter_context(torch.no_grad())
        stack.enter_context(plain_kernels(anatomy.modules.values()))
        stack.enter_context(recorder)
        try:
            output = model(*args, **kwargs)
        except Exception as error:
            raise TraceError(
                f"{type(model).__name__} does not run on these inputs ({describe(inputs)}): "
                f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            ) from error
    recorder.flow.outputs = {recorder.value(tensor).number for tensor in tensors_in(output)}
    return recorder.flow


@contextmanager
def _buffers_kept(anatomy: Anatomy) -> Iterator[None]:
    kept = [(buffer, buffer.detach().clone()) for buffer in anatomy.buffers.values()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow = Flow()
        self._anatomy = anatomy
        self._values: dict[int, tuple[Tensor, Value]] = {}
        self._sharing: dict[int, list[Tensor]] = {}
        self._open: list[ModuleCall] = []
        self._count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def value(self, tensor: Tensor) -> Value:
        known = self._values.get(id(tensor))
        return known[1] if known is not None else self._new(tensor)

    def _new(self, tensor: Tensor) -> Value:
        value = Value(self._count, tuple(tensor.shape), tensor.dtype)
        self._count += 1
        if id(tensor) not in self._values:
            self._sharing.setdefault(_memory(tensor), []).append(tensor)
        self._values[id(tensor)] = (tensor, value)
        return value

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = tree_map_only(Tensor, self.value, (args, kwargs))
        output = function(*args, **kwargs)
        before, after = [], []
        for tensor in _written(function, args, kwargs):
            for alias in self._sharing.get(_memory(tensor), []):
                before.append(self.value(alias))
                after.append(self._new(alias))
        results = tuple(self.value(tensor) for tensor in tensor_arguments((output,), {}))
        changed = tuple(value for value in after if value not in results)
        name = operator_name(function.overloadpacket)
        index = len(self.flow.steps)
        arguments, keywords = given
        step = Step(index, name, function, arguments, keywords, results, tuple(before), changed)
        self.flow.steps.append(step)
        return output

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note every call of every module."""
        with ExitStack() as stack:
            for path, module in self._anatomy.modules.items():

                def enter(_: Any, args: Any, kwargs: Any, path: str = path) -> None:
                    given = tree_map_only(Tensor, self.value, (args, kwargs))
                    self._open.append(ModuleCall(path, len(self.flow.steps), *given))
                    self.flow.calls.append(self._open[-1])

                def leave(_: Any, args: Any, kwargs: Any, output: Any) -> None:
                    call = self._open.pop()
                    call.stop = len(self.flow.steps)
                    call.result = tree_map_only(Tensor, self.value, output)
                    call.held = tuple(self.value(tensor) for tensor in _held((args, kwargs)))

                stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(leave, with_kwargs=True).remove)
            yield


def _held(arguments: tuple[Any, dict[str, Any]]) -> list[Tensor]:
    """Return the tensors inside objects among the arguments, however they are nested."""
    found: list[Tensor] = []
    seen: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(item, False) for item in (*arguments[0], *arguments[1].values())]
    while waiting:
        item, inside = waiting.pop()
        if isinstance(item, PLAIN) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            found += [item] if inside else []
        elif isinstance(item, (list, tuple, dict)):
            parts = item.values() if isinstance(item, dict) else item
            waiting += [(part, inside) for part in parts]
        elif hasattr(item, "__dict__"):
            waiting += [(part, True) for part in vars(item).values()]
    return found


PLAIN = (nn.Module, type, str, bytes, int, float, type(None))


def _memory(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # a sparse tensor: nothing shares with it
        return -id(tensor)


def _written(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Return the tensors that an operator writes into."""
    found = []
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += tensor_arguments((value,), {})
    return found
