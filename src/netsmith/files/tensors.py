"""Tensors as entries of a table plus safetensors content, with shared storage kept shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from netsmith.files.values import UnstorableError

Entry = dict[str, Any]

_NATIVE = {
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
    torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
}  # fmt: skip
"""What every safetensors reader knows; other dtypes are kept as their bytes."""
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_ALIGNMENT = 16


def check_storable(tensor: Tensor) -> None:
    """Raise UnstorableError unless ``tensor`` is an ordinary dense tensor with values.

    Raises:
        UnstorableError: it is sparse, quantised, on the meta device, not initialised, or of a subclass.
    """
    if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
        raise UnstorableError("a lazy parameter without values (run the model once first)")
    if type(tensor) not in (Tensor, nn.Parameter):
        raise UnstorableError(f"a tensor of the class {type(tensor).__module__}.{type(tensor).__qualname__}")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise UnstorableError(
            f"a tensor that is not dense ({tensor.layout}, {tensor.dtype}, {tensor.device})"
        )


def describe_tensors(named: Sequence[tuple[str, Tensor]]) -> tuple[list[Entry], dict[str, Tensor]]:
    """Return one entry per tensor of ``named`` and the content to store, by key.

    A tensor alone on its memory is stored under its name, in its shape. Tensors that share memory (tied by
    ``.data``, views of one another) are stored once as bytes, and their entries say where each one lies.
    """
    sharing: dict[tuple[str, int], list[int]] = {}
    for index, (_, tensor) in enumerate(named):
        place = tensor.untyped_storage().data_ptr() if tensor.numel() else -index
        sharing.setdefault((str(tensor.device), place), []).append(index)
    entries: list[Entry] = [_properties(name, tensor) for name, tensor in named]
    content: dict[str, Tensor] = {}
    for members in sharing.values():
        if len(members) == 1:
            _describe_alone(entries[members[0]], named[members[0]][1], content)
        else:
            _describe_shared([entries[i] for i in members], [named[i][1] for i in members], content)
    return entries, content


def _properties(name: str, tensor: Tensor) -> Entry:
    return {
        "name": name,
        "parameter": isinstance(tensor, nn.Parameter),
        "dtype": str(tensor.dtype),
        "shape": list(tensor.shape),
        "requires_grad": tensor.requires_grad and tensor.is_leaf,
    }


def _describe_alone(entry: Entry, tensor: Tensor, content: dict[str, Tensor]) -> None:
    values = tensor.detach().cpu().resolve_conj().resolve_neg()
    if not values.is_contiguous() and _is_dense(values.shape, values.stride()):
        entry["stride"] = list(values.stride())
    values = values.contiguous()
    if values.dtype not in _NATIVE:
        values = values.reshape(-1).view(torch.uint8)
    entry["key"] = _unused(entry["name"], content)
    content[entry["key"]] = values


def _describe_shared(entries: Sequence[Entry], tensors: Sequence[Tensor], content: dict[str, Tensor]) -> None:
    if any(t.is_conj() or t.is_neg() for t in tensors):
        raise UnstorableError("a lazily conjugated or negated view of another tensor (clone it first)")
    starts = [t.storage_offset() * t.itemsize for t in tensors]
    ends = [s + (_extent(t.shape, t.stride()) * t.itemsize) for s, t in zip(starts, tensors, strict=True)]
    first = min(starts) // _ALIGNMENT * _ALIGNMENT
    memory = torch.empty(0, dtype=torch.uint8, device=tensors[0].device)
    memory.set_(tensors[0].untyped_storage(), first, (max(ends) - first,), (1,))
    key = _unused(f"shared:{entries[0]['name']}", content)
    content[key] = memory.cpu().clone()
    for entry, tensor, start in zip(entries, tensors, starts, strict=True):
        entry.update(key=key, offset=(start - first) // tensor.itemsize, stride=list(tensor.stride()))


def restore_tensors(entries: Sequence[Entry], content: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the tensors that :func:`describe_tensors` described, on the CPU, bit for bit.

    Raises:
        ValueError, LookupError, TypeError: the entries do not fit the content.
    """
    memory = {entry["key"]: content[entry["key"]].clone() for entry in entries if "offset" in entry}
    return [_restore(entry, content, memory) for entry in entries]


def _restore(entry: Entry, content: Mapping[str, Tensor], memory: Mapping[str, Tensor]) -> Tensor:
    dtype, shape = _DTYPES[entry["dtype"]], [_count(n) for n in entry["shape"]]
    if "offset" in entry:
        tensor = _view(
            memory[entry["key"]], dtype, shape, [_count(n) for n in entry["stride"]], _count(entry["offset"])
        )
    else:
        values = content[entry["key"]]
        if dtype not in _NATIVE and values.dtype is torch.uint8:
            values = values.clone().view(dtype).reshape(shape)
        if values.dtype is not dtype or list(values.shape) != shape:
            raise ValueError(
                f"{entry['name']} is {values.dtype} {list(values.shape)}, expected {dtype} {shape}"
            )
        tensor = (
            _ordered(values, [_count(n) for n in entry["stride"]]) if "stride" in entry else values.clone()
        )
    if entry["parameter"]:
        return nn.Parameter(tensor, requires_grad=bool(entry["requires_grad"]))
    return tensor.requires_grad_(bool(entry["requires_grad"]))


def _view(memory: Tensor, dtype: torch.dtype, shape: list[int], stride: list[int], offset: int) -> Tensor:
    # set_ would enlarge the storage to fit whatever is asked, so the bounds are checked here.
    if len(shape) != len(stride) or memory.dtype is not torch.uint8 or memory.dim() != 1:
        raise ValueError("shared memory that is not a row of bytes")
    if (offset + _extent(shape, stride)) * dtype.itemsize > memory.numel():
        raise ValueError("a tensor that reaches beyond the memory it shares")
    return torch.empty(0, dtype=dtype).set_(memory.untyped_storage(), offset, shape, stride)


def _ordered(values: Tensor, stride: list[int]) -> Tensor:
    if len(stride) != values.dim() or not _is_dense(values.shape, stride):
        raise ValueError(f"strides {stride} that do not fill the shape {list(values.shape)}")
    return torch.empty_strided(values.shape, stride, dtype=values.dtype).copy_(values)


def _extent(shape: Sequence[int], stride: Sequence[int]) -> int:
    """Return the number of elements from the first to the last one, both included."""
    if 0 in shape:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))


def _is_dense(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the elements fill their memory once each: the strides are a contiguous layout permuted."""
    expected = 1
    for step, size in sorted((s, n) for n, s in zip(shape, stride, strict=True) if n != 1):
        if step != expected:
            return False
        expected *= size
    return True


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where a count is expected")
    return value


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "'"
    return name
