from __future__ import annotations

import enum
import functools
import inspect
import json
import math
import os
import typing
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netsmith.files.classes import ClassFinder
from netsmith.files.functions import FUNCTIONS
from netsmith.files.values import MissingClassError, UnstorableError, decode, encode


class Colour(enum.Enum):
    RED = 1


class Size(NamedTuple):
    name: str
    kind: Any


class Table:
    """Numbers objects in the order they come, and gives them back."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def number(self, value: Any) -> int:
        self.found.append(value)
        return len(self.found) - 1

    def tensor(self, value: Any) -> Any:
        return self.number(value) if isinstance(value, Tensor) else self.found[value]

    def module(self, value: Any) -> Any:
        return self.number(value) if isinstance(value, nn.Module) else self.found[value]

    def object(self, value: Any) -> Any:
        return self.found[value] if isinstance(value, int) else self.number(value)

    def class_(self, name: str, base: type) -> type:
        if (found := ClassFinder().find(name, base)) is None:
            raise MissingClassError(name)
        return found

    def plain_class(self, name: str) -> type:
        return self.class_(name, object)


def there_and_back(value: Any) -> Any:
    table = Table()
    return decode(json.loads(json.dumps(encode(value, table))), table)


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False) | st.binary()
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=8
)
plain = st.recursive(
    hashable,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(hashable, inner, max_size=3),
    max_leaves=10,
)


def typed(value: Any) -> Any:
    if isinstance(value, dict):
        return dict, [(typed(k), typed(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    return type(value), value


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of an example, by hypothesis itself
@settings(max_examples=60, deadline=None)
@given(plain)
def test_plain_data_comes_back_with_its_types(value: Any) -> None:
    assert typed(there_and_back(value)) == typed(value)


@pytest.mark.parametrize(
    "value",
    [
        torch.Size([1, 2]), torch.float16, torch.device("cuda", 1), torch.channels_last, torch.strided,
        slice(1, None, 2), range(3, 9, 2), 1 + 2j, -math.inf, {1, 2}, OrderedDict(b=1, a=2), Colour.RED,
        nn.BatchNorm2d, F.relu, F.gelu, F.max_pool2d, torch.tanh, np.float32(0.1), np.int64(-3),
    ],
)  # fmt: skip
def test_what_models_keep_comes_back(value: Any) -> None:
    assert typed(there_and_back(value)) == typed(value)


def test_not_a_number_arrays_and_partials() -> None:
    assert math.isnan(there_and_back(math.nan))
    array = there_and_back(np.arange(6, dtype=np.float32).reshape(2, 3))
    assert array.dtype == np.float32
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    partial = there_and_back(functools.partial(nn.LayerNorm, 3, eps=1e-6))
    assert (partial.func, partial.args, partial.keywords) == (nn.LayerNorm, (3,), {"eps": 1e-6})


@pytest.mark.parametrize(
    "value",
    [
        int,
        Tensor,
        Any,
        Tensor | None,
        dict[str, list[int]],
        tuple[Tensor, int | None],
        inspect._empty,
        typing.List[int],  # noqa: UP006
        typing.Optional[typing.Tuple[Tensor, str]],  # noqa: UP006, UP045
    ],
)
def test_type_hints_and_named_tuples_survive(value: Any) -> None:
    assert there_and_back(value) == value
    back = there_and_back(Size("width", value))
    assert type(back) is Size
    assert back == Size("width", value)


@pytest.mark.parametrize("data", [{"hint": "eval"}, {"hint": ["type", "int"]}, {"named": ["os:_exit", [1]]}])
def test_other_hints_and_classes_are_refused(data: Any) -> None:
    with pytest.raises((LookupError, TypeError)):
        decode(data, Table())


@pytest.mark.parametrize(
    "value", [lambda x: x, os.system, torch.load, object(), [1, (print,)], Colour, "a".join]
)
def test_code_and_objects_are_refused(value: Any) -> None:
    with pytest.raises(UnstorableError, match=r"^(the function|an object of)"):
        encode(value, Table())


@pytest.mark.parametrize(
    "data",
    [
        {"function": "os:system"}, {"function": "torch:load"}, {"function": "torch.nn.functional:handle"},
        {"class": "subprocess:Popen"}, {"class": "torch.nn:Linear.__init__"}, {"object": 1}, {},
        {"enum": ["subprocess:Popen", "a"]}, {"enum": [f"{__name__}:Colour", "BLUE"]}, {"a": 1, "b": 2},
        {"partial": ["os:system", {"tuple": []}, {"dict": []}]}, {"numpy": ["O", None, "00" * 8]},
        {"numpy": ["<f4", [1 << 40], "00" * 8]}, {"torch": "torch.load"}, {"tensor": 0}, {"set": [[]]},
    ],
)  # fmt: skip
def test_nothing_else_is_decoded(data: Any) -> None:
    with pytest.raises((LookupError, ValueError, TypeError)):
        decode(data, Table())


def test_no_function_that_reaches_outside() -> None:
    reached = [
        name
        for name in FUNCTIONS
        if any(w in name.partition(":")[2] for w in ("load", "save", "file", "import"))
    ]
    assert reached == []
    assert FUNCTIONS["torch.nn.functional:relu"] is F.relu
