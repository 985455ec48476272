from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netsmith.errors import NetsmithError
from netsmith.sparsity.formats import (
    FORMATS,
    Bitmap,
    CompressedRows,
    Coordinate,
    Delta,
    RunLength,
    bound,
    sizes,
)

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int64]


def sparse(shape: tuple[int, ...], density: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=generator)
    return tensor * (torch.rand(shape, generator=generator) < density)


def same_bits(one: Tensor, other: Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.flatten().view(torch.uint8), other.flatten().view(torch.uint8))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("density", [0.0, 0.001, 0.1, 0.5, 1.0])
def test_round_trip_and_length_at_every_density(name: str, density: float) -> None:
    tensor, one = sparse((50, 20), density), FORMATS[name]
    stored = one.encode(tensor)
    assert same_bits(one.decode(stored), tensor)
    assert stored.bits == one.formula(tensor) == sizes(tensor)[name]


@pytest.mark.parametrize("name", FORMATS)
@given(st.lists(st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), 1e-40]), max_size=70))
def test_round_trip_of_anything(name: str, given_values: list[float]) -> None:
    tensor, one = torch.tensor(given_values, dtype=torch.float32), FORMATS[name]
    stored = one.encode(tensor)
    assert same_bits(one.decode(stored), tensor)
    assert stored.bits == one.formula(tensor)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (7, 3, 2, 2), (0, 4), (5, 0)], ids=str)
def test_round_trip_of_every_type_and_shape(name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor, one = (sparse(shape, 0.5) * 5).to(dtype), FORMATS[name]
    assert same_bits(one.decode(one.encode(tensor)), tensor)


@pytest.mark.parametrize("width", [1, 2, 5, 16])
@pytest.mark.parametrize("form", [Delta, RunLength])
def test_runs_longer_than_a_field_are_padded_and_paid_for(form: type, width: int) -> None:
    tensor, one = sparse((1000,), 0.02), form(width)
    tensor[300:340] = 1.0
    stored = one.encode(tensor)
    assert same_bits(one.decode(stored), tensor)
    assert (
        stored.bits
        == one.formula(tensor)
        >= FORMATS["delta" if form is Delta else "run length"].formula(tensor)
    )


def test_formulas_by_hand() -> None:
    tensor = torch.zeros(4, 16)
    tensor[0, 3] = tensor[0, 5] = tensor[3, 15] = 1.0
    assert Bitmap().formula(tensor) == 64 + 3 * 32
    assert Coordinate().formula(tensor) == 3 * (6 + 32)
    assert CompressedRows().formula(tensor) == 3 * (4 + 32) + 5 * 2
    # Gaps 3, 1 and 57: three padding zeros of 16 places each with four bits.
    assert Delta(4).formula(tensor) == (3 + 3) * (4 + 32)
    # Runs 3, 1, 1, 1, 57, 1; the long one is 15 + 15 + 15 + 12 with three empty ones between.
    assert RunLength(4).formula(tensor) == (6 + 6) * 4 + 3 * 32


def test_none_is_shorter_than_the_bound_and_dense_is_the_plain_size() -> None:
    for density in (0.5, 0.1, 0.01):
        found = sizes(sparse((10_000,), density))
        least = found.pop("bound")
        assert all(bits >= least for bits in found.values())
        assert found["dense"] == 320_000
    exact = math.log2(math.comb(100, 30)) + 30 * 8
    assert bound(100, 30, 8) == pytest.approx(exact, rel=1e-12)


def test_bitmap_and_coordinates_cross_where_the_rule_says() -> None:
    size = 4096
    shorter = []
    for count in range(300, 400):
        tensor = torch.zeros(size)
        tensor[:count] = 1.0
        shorter.append(Coordinate().formula(tensor) < Bitmap().formula(tensor))
    crossing = next(300 + n for n, (one, other) in enumerate(pairwise(shorter)) if one and not other)
    assert abs(crossing / size - 1 / 12) <= 1 / size


@pytest.mark.parametrize("form", [Delta, RunLength])
def test_mistakes(form: type) -> None:
    with pytest.raises(NetsmithError, match="_bits is 17; expected from 1 to 16, or None for the best"):
        form(17)
