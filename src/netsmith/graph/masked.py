"""The masked original: a model run as if removed channels were not there, with nothing cut.

This is the reference every cut is checked against. Each operator that sums over channels reads the removed
ones as zero (their readers are zeroed, not their producers: a sigmoid of zero is not zero), and each
statistic across channels is taken over the survivors. So is a convolution along channels: its kernel slides
over those that are left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netsmith.calling import call_arguments, copied
from netsmith.contracts import Inputs, Keep
from netsmith.errors import TraceError
from netsmith.graph.masked_own import lent, on_survivors, swapped
from netsmith.graph.operation import Operation, Read
from netsmith.graph.own_calls import opaque_modules, opaque_name, opaque_tensors
from netsmith.graph.running import plain_kernels
from netsmith.graph.structure import StructureGraph
from netsmith.graph.tracer import operator_name, tensor_arguments
from netsmith.modes import as_found
from netsmith.wrappers import uncompiled

LAYOUT = frozenset(
    {
        "lift_fresh",
        "scalar_tensor",
        "view",
        "_unsafe_view",
        "_reshape_alias",
        "clone",
        "contiguous",
        "alias",
        "detach",
        "empty",
        "as_strided_",
    }
)
"""Operators that differ with the memory layout a device prefers; none of them reads channels."""


ON_SURVIVORS = frozenset(
    {
        "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm",
        "_softmax", "_safe_softmax", "_log_softmax", "convolution", "im2col",
    }
)  # fmt: skip
"""Operators that are run on the indices that stay where they normalise or slide a kernel across channels."""


class OtherOperatorsError(TraceError):
    """The model did not run the operators that its graph was traced from."""


def run_masked(model: nn.Module, inputs: Inputs, graph: StructureGraph, keep: Keep) -> Any:
    """Return what a model puts out when the channels that ``keep`` removes are masked at their readers.

    The model runs in the mode it is in, which must be the one it was traced in, without gradients.

    Raises:
        OtherOperatorsError: the model ran other operators than the traced ones.
    """
    args, kwargs = copied(call_arguments(inputs))
    masking = _Masking(graph, graph.survivors(keep))
    modules = list(model.modules())
    opaque = opaque_modules(modules, graph.own, masking.run_opaque)
    with torch.no_grad(), uncompiled(), as_found(modules), plain_kernels(modules), opaque, masking:
        return model(*args, **kwargs)


class _Masking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, graph: StructureGraph, alive: NDArray[np.bool_]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph
        self._alive = alive
        self._operations = [operation for operation in graph.operations if operation.name not in LAYOUT]
        self._next = 0
        self._watching = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._watching:
            return function(*args, **kwargs)
        name = operator_name(function.overloadpacket)
        if name in LAYOUT:
            return function(*args, **kwargs)
        operation = self._expect(name)
        masks = self._masks(operation)
        if not masks:
            return function(*args, **kwargs)
        if name == "native_layer_norm":
            return _layer_norm(function, args, masks)
        if name == "native_group_norm":
            return _group_norm(function, args, masks[0][1], self._groups(operation))
        if name == "topk":
            return _chosen(function, args, kwargs, *masks[0])
        tensors = tensor_arguments(args, kwargs)
        if (operation.own or name in ON_SURVIVORS) and any(read.statistic for read, _ in masks):
            return self._operator_on_survivors(operation, function, args, kwargs)
        new = _hidden(tensors, masks)
        return function(*(_swap(arg, new) for arg in args), **{k: _swap(v, new) for k, v in kwargs.items()})

    def _operator_on_survivors(
        self, operation: Operation, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        def call(new: dict[int, Tensor], sizes: dict[str, int]) -> Any:
            names = [argument.name for argument in function._schema.arguments]
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            return function(**{**swapped(given, new), **{k: v for k, v in sizes.items() if k in given}})

        tensors = tensor_arguments(args, kwargs)
        return on_survivors(self._graph, self._alive, operation, tensors, call)

    def run_opaque(
        self, module: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a module that has a rule of its own, with what the rule says it reads masked."""
        if not self._watching:
            return forward(*args, **kwargs)
        operation = self._expect(opaque_name(module))
        tensors = opaque_tensors(module, args, kwargs)

        def call(new: dict[int, Tensor], sizes: dict[str, int]) -> Any:
            with lent(module, new, sizes):
                return forward(*swapped(args, new), **swapped(kwargs, new))

        self._watching = False
        try:
            masks = self._masks(operation)
            if any(read.statistic for read, _ in masks):
                return on_survivors(self._graph, self._alive, operation, tensors, call)
            return call(_hidden(tensors, masks), {})
        finally:
            self._watching = True

    def _expect(self, name: str) -> Operation:
        if self._next >= len(self._operations) or self._operations[self._next].name != name:
            more = self._operations[self._next : self._next + 1]
            traced = more[0].name if more else "nothing more"
            place = f" in module {more[0].module or '(the model itself)'}" if more else ""
            raise OtherOperatorsError(f"{name} where the traced run had {traced}{place}")
        self._next += 1
        return self._operations[self._next - 1]

    def _masks(self, operation: Operation) -> list[tuple[Read, Tensor]]:
        masks = [(r, torch.from_numpy(self._graph.kept(r.axis, self._alive))) for r in operation.reads]
        return [(read, mask) for read, mask in masks if not bool(mask.all())]

    def _groups(self, operation: Operation) -> int:
        return self._graph.width(operation.constants["groups"], self._alive)


def _hidden(tensors: list[Tensor], masks: list[tuple[Read, Tensor]]) -> dict[int, Tensor]:
    """Return what takes the place of the tensors (by ``id``) that are read."""
    new: dict[int, Tensor] = {}
    for read, mask in masks:
        tensor = tensors[read.argument]
        new[id(tensor)] = _hide(new.get(id(tensor), tensor), read, mask)
    return new


def _hide(tensor: Tensor, read: Read, mask: Tensor) -> Tensor:
    mask = mask.to(tensor.device)
    if read.statistic:
        return tensor.index_select(read.dim, mask.nonzero()[:, 0])
    shape = [1] * tensor.dim()
    shape[read.dim] = -1
    return torch.where(mask.reshape(shape), tensor, torch.zeros((), dtype=tensor.dtype, device=tensor.device))


def _swap(value: Any, new: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return new.get(id(value), value)
    if isinstance(value, (list, tuple)):
        return type(value)(_swap(item, new) for item in value)
    return value


def _layer_norm(function: Any, args: tuple[Any, ...], masks: list[tuple[Read, Tensor]]) -> Any:
    tensor, shape, weight, bias, eps = args[:5]
    first = tensor.dim() - len(shape)
    shape = list(shape)
    small, vectors = tensor, [weight, bias]
    for read, mask in masks:
        index = mask.nonzero()[:, 0].to(tensor.device)
        small = small.index_select(read.dim, index)
        vectors = [v if v is None else v.index_select(read.dim - first, index) for v in vectors]
        shape[read.dim - first] = len(index)
    output, *rest = function(small, shape, *vectors, eps)
    for read, mask in masks:
        output = _spread(output, read.dim, mask)
    return (output, *rest)


def _group_norm(function: Any, args: tuple[Any, ...], mask: Tensor, groups: int) -> Any:
    tensor, weight, bias, batch, _, space, _, eps = args
    index = mask.nonzero()[:, 0].to(tensor.device)
    small = tensor.index_select(1, index)
    vectors = [v if v is None else v.index_select(0, index) for v in (weight, bias)]
    output, *rest = function(small.contiguous(), *vectors, batch, len(index), space, groups, eps)
    return (_spread(output, 1, mask), *rest)


def _chosen(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], read: Read, mask: Tensor) -> Any:
    """Choose among the survivors, and say where they stood."""
    values, positions = function(_hide(args[0], read, mask), *args[1:], **kwargs)
    return values, mask.nonzero()[:, 0].to(positions.device)[positions]


def _spread(tensor: Tensor, dim: int, mask: Tensor) -> Tensor:
    shape = list(tensor.shape)
    shape[dim] = len(mask)
    full = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    return full.index_copy(dim, mask.nonzero()[:, 0].to(tensor.device), tensor)
