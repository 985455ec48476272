"""Watching a user's own code while it runs: which sizes it reads, and which it hands to operators."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from netsmith.graph.axes import Dim
from netsmith.graph.pointers import CLASSES
from netsmith.graph.sizes import FITTED, TracedInt
from netsmith.graph.slice_bounds import narrow_bounds, slice_bounds
from netsmith.graph.twins import twin

if TYPE_CHECKING:
    from netsmith.graph.tracer import Tracer


class SizeWatch(TorchFunctionMode):
    """Hands out traced sizes and notes the sizes given to operators that reshape or group."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # The sizes that operators and their rules read are not the user's.
        if not self._tracer.watching or self._tracer.dispatching:
            return function(*args, **kwargs)
        if function == Tensor.shape.__get__ or function is Tensor.size:  # type: ignore[attr-defined]
            return self._sizes(args[0], function(*args, **kwargs), args[1:], kwargs)
        if function in (Tensor.tolist, Tensor.numpy, Tensor.__array__):
            self._tracer.values_read(args[0])
        known = twin(function)
        if known in ARITHMETIC:
            self._tracer.valued.extend(arg.source for arg in args if isinstance(arg, TracedInt))
        elif known is F.scaled_dot_product_attention and kwargs.get("scale") is None:
            # Its scale is one over the square root of the head width, worked out where nothing can see it.
            self._tracer.valued.append(self._tracer.axes(args[0] if args else kwargs["query"])[-1])
        elif function is F.multi_head_attention_forward:
            # It asserts that heads x head width is the width of its input, where nothing can see it.
            for tensor in (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)):
                for axis in self._tracer.axes(tensor):
                    self._tracer.freeze(axis, "the width of a multi-head attention")
        if function is Tensor.__getitem__:
            given: Any = slice_bounds(self._tracer, args[0], args[1])
        else:
            given = _given(known, args, kwargs)
        if given is None:
            return function(*args, **kwargs)
        before, self._tracer.given = self._tracer.given, given
        try:
            if known is F.rms_norm:  # none of the operators it is made of is given the sizes
                self._tracer.shaped_by_code(args[0])
            if isinstance(function, FunctionType):  # Python of PyTorch's own, which need not be followed
                args, kwargs = tree_map_only(TracedInt, int, (args, kwargs))
            return function(*args, **kwargs)
        finally:
            self._tracer.given = before

    def _sizes(self, tensor: Tensor, sizes: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        axes = self._tracer.axes(tensor)
        if isinstance(sizes, torch.Size):
            return torch.Size(self._traced(size, axis) for size, axis in zip(sizes, axes, strict=True))
        dim = args[0] if args else kwargs.get("dim", 0)
        return self._traced(sizes, axes[dim])

    def _traced(self, size: int, axis: Dim) -> int:
        return TracedInt(size, axis, self._tracer) if axis.owners else size


def _given(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any] | None:
    """Return the sizes handed to a function, by output dimension or by name; ``None`` if it takes none."""
    if function is F.one_hot:
        classes = args[1] if len(args) > 1 else kwargs.get("num_classes", -1)
        return None if classes == -1 else {CLASSES: classes}
    if function in RESHAPING:
        return _positions(args[1:] or (kwargs.get("shape", kwargs.get("size", ())),))
    if function in MAKING:
        return _positions(args[MAKING[function] :] or (kwargs.get("size", ()),))
    if function in (Tensor.unflatten, torch.unflatten):
        dim = args[1] if len(args) > 1 else kwargs["dim"]
        sizes = args[2] if len(args) > 2 else kwargs["sizes"]
        first = dim % args[0].dim()
        return {first + position: size for position, size in _positions((sizes,)).items()}
    if function in (Tensor.split, torch.split):
        size = args[1] if len(args) > 1 else kwargs.get("split_size", kwargs.get("split_size_or_sections"))
        sizes = size if isinstance(size, (list, tuple)) else [size]
        return {f"split.{position}": one for position, one in enumerate(sizes)}
    if function in GROUPED:
        position = GROUPED[function]
        return {"groups": args[position] if len(args) > position else kwargs.get("groups", 1)}
    if function is F.group_norm:
        return {"groups": args[1] if len(args) > 1 else kwargs["num_groups"]}
    if function in (F.layer_norm, F.rms_norm):
        shape = args[1] if len(args) > 1 else kwargs["normalized_shape"]
        return {f"normalized_shape.{position}": size for position, size in enumerate(shape)}
    if function in (Tensor.narrow, torch.narrow) and not kwargs and not _any_tensor(args[2:]):
        return narrow_bounds(*args)
    if function is torch._VF._pad_packed_sequence:
        return {FITTED: True}
    if isinstance(function, (OpOverload, OpOverloadPacket)):
        return _named(function, args, kwargs)
    return None


def _any_tensor(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, Tensor) for value in values)


def _named(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[Any, Any]:
    """Return the arguments of an operator called by its name, under the names in its schema."""
    one = function if isinstance(function, OpOverload) else getattr(function, function.overloads()[0])
    names = [argument.name for argument in one._schema.arguments]
    return {("argument", name): v for name, v in [*zip(names, args, strict=False), *kwargs.items()]}


def _positions(shape: tuple[Any, ...]) -> dict[Any, Any]:
    if len(shape) >= 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    return {position: size for position, size in enumerate(shape) if isinstance(size, int)}


ARITHMETIC = frozenset(
    getattr(Tensor, name)
    for name in (
        "mul", "div", "add", "sub", "pow", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__",
        "__rpow__", "__add__", "__radd__", "__sub__", "__rsub__", "mul_", "div_", "add_", "sub_",
    )
) | {torch.mul, torch.div, torch.add, torch.sub, torch.pow}  # fmt: skip
RESHAPING = (Tensor.view, Tensor.reshape, torch.reshape, Tensor.expand, Tensor.repeat)
MAKING = {
    torch.zeros: 0,
    torch.ones: 0,
    torch.empty: 0,
    torch.full: 0,
    Tensor.new_zeros: 1,
    Tensor.new_ones: 1,
    Tensor.new_empty: 1,
    Tensor.new_full: 1,
}
GROUPED = {
    F.conv1d: 6,
    F.conv2d: 6,
    F.conv3d: 6,
    F.conv_transpose1d: 6,
    F.conv_transpose2d: 6,
    F.conv_transpose3d: 6,
}
