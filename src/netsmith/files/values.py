"""Attributes of modules as JSON: plain data only, so that reading them back can run no code."""

from __future__ import annotations

import enum
import functools
import math
import re
import types
import weakref
from collections import OrderedDict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.files.classes import class_name
from netsmith.files.functions import FUNCTION_NAMES, FUNCTIONS
from netsmith.files.hints import describe_hint, hint
from netsmith.plain_objects import is_named_tuple, is_plain


class UnstorableError(Exception):
    """A value is not plain data; the message says what it is."""


class MissingClassError(LookupError):
    """A class is not among those given and those already imported; the message is its name."""


class Writer(Protocol):
    """Numbers for what an attribute may point at."""

    def tensor(self, value: Tensor) -> int: ...  # noqa: D102
    def module(self, value: nn.Module) -> int: ...  # noqa: D102
    def object(self, value: Any) -> int: ...  # noqa: D102


class Reader(Protocol):
    """What the numbers and names in a file stand for."""

    def tensor(self, index: int) -> Tensor: ...  # noqa: D102
    def module(self, index: int) -> nn.Module: ...  # noqa: D102
    def object(self, index: int) -> Any: ...  # noqa: D102
    def class_(self, name: str, base: type) -> type: ...  # noqa: D102
    def plain_class(self, name: str) -> type: ...  # noqa: D102


_TORCH_CONSTANTS: dict[str, Any] = {
    str(value): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format)
}
_SEQUENCES: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset, "size": torch.Size}
_MAPPINGS: dict[str, Any] = {"dict": dict, "ordered": OrderedDict}
_NUMPY_DTYPE = re.compile(r"[<>|=][biufc]\d{1,2}")


def encode(value: Any, writer: Writer) -> Any:
    """Return ``value`` as JSON: a scalar or list as itself, anything else as ``{kind: content}``.

    Raises:
        UnstorableError: it, or something in it, is not plain data.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": str(value)}
    if kind is list:
        return [encode(item, writer) for item in value]
    for name, sequence in _SEQUENCES.items():
        if kind is sequence:
            return {name: [encode(item, writer) for item in value]}
    for name, mapping in _MAPPINGS.items():
        if kind is mapping:
            return {name: [[encode(k, writer), encode(v, writer)] for k, v in value.items()]}
    return _encode_object(value, writer)


def _encode_object(value: Any, writer: Writer) -> Any:
    if isinstance(value, Tensor):
        return {"tensor": writer.tensor(value)}
    if isinstance(value, nn.Module):
        return {"module": writer.module(value)}
    if isinstance(value, weakref.ref) and isinstance(target := value(), Tensor):
        return {"weakref": writer.tensor(target)}
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return {"torch": str(value)}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if type(value) is complex:
        return {"complex": [encode(value.real, writer), encode(value.imag, writer)]}
    if isinstance(value, slice | range):
        return {
            type(value).__name__: [encode(part, writer) for part in (value.start, value.stop, value.step)]
        }
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if isinstance(value, np.ndarray | np.generic) and _NUMPY_DTYPE.fullmatch(value.dtype.str):
        shape = list(value.shape) if type(value) is np.ndarray else None
        return {"numpy": [value.dtype.str, shape, value.tobytes().hex()]}
    if isinstance(value, enum.Enum):
        return {"enum": [class_name(type(value)), value.name]}
    if isinstance(value, type) and issubclass(value, nn.Module):
        return {"class": class_name(value)}
    if (described := describe_hint(value)) is not None:
        return {"hint": described}
    if is_named_tuple(type(value)):
        return {"named": [class_name(type(value)), [encode(item, writer) for item in value]]}
    if id(value) in FUNCTION_NAMES:
        return {"function": FUNCTION_NAMES[id(value)]}
    if type(value) is functools.partial:
        return {"partial": [encode(part, writer) for part in (value.func, value.args, value.keywords)]}
    if is_plain(type(value)):
        return {"object": writer.object(value)}
    raise UnstorableError(_what(value))


def _what(value: Any) -> str:
    if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
        return f"the function {value.__qualname__}"
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"


def decode(data: Any, reader: Reader) -> Any:
    """Return the value that :func:`encode` made ``data`` from.

    Raises:
        MissingClassError: a class it needs is not there.
        Exception: ``data`` is not what :func:`encode` writes (TypeError, ValueError, LookupError, …).
    """
    if not isinstance(data, list | dict):
        return data
    if isinstance(data, list):
        return [decode(item, reader) for item in data]
    [(kind, content)] = data.items()
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](decode(item, reader) for item in content)
    if kind in _MAPPINGS:
        return _MAPPINGS[kind]((decode(k, reader), decode(v, reader)) for k, v in content)
    return _decode_object(kind, content, reader)


def _decode_object(kind: str, content: Any, reader: Reader) -> Any:
    match kind:
        case "tensor":
            return reader.tensor(content)
        case "module":
            return reader.module(content)
        case "object":
            return reader.object(content)
        case "weakref":
            return weakref.ref(reader.tensor(content))
        case "torch":
            return _TORCH_CONSTANTS[content]
        case "device":
            return torch.device(content)
        case "float":
            return float(content)
        case "complex":
            return complex(*decode(content, reader))
        case "slice":
            return slice(*decode(content, reader))
        case "range":
            return range(*decode(content, reader))
        case "bytes":
            return bytes.fromhex(content)
        case "numpy":
            return _decode_numpy(*content)
        case "enum":
            return reader.class_(content[0], enum.Enum).__members__[content[1]]  # type: ignore[attr-defined]
        case "class":
            return reader.class_(content, nn.Module)
        case "hint":
            return hint(content)
        case "named":
            return tuple.__new__(reader.plain_class(content[0]), decode(content[1], reader))
        case "function":
            return FUNCTIONS[content]
        case "partial":
            function, arguments, keywords = decode(content, reader)
            if id(function) not in FUNCTION_NAMES and not isinstance(function, type):
                raise ValueError("a partial of something that is neither a function nor a class")
            return functools.partial(function, *arguments, **keywords)
    raise ValueError(f"unknown kind of value {kind!r}")


def _decode_numpy(dtype: str, shape: list[int] | None, content: str) -> Any:
    if not _NUMPY_DTYPE.fullmatch(dtype):
        raise ValueError(f"unknown dtype {dtype!r}")
    flat = np.frombuffer(bytearray.fromhex(content), dtype=np.dtype(dtype))
    return flat[0] if shape is None else flat.reshape(shape)
