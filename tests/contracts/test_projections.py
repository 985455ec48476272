"""Every class that netsmith.projections exports keeps the Projection contract; a new one is found here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netsmith.projections as family
from netsmith.contracts import LinearMinimiser, Projection

MEMBERS = [member for name in family.__all__ if inspect.isclass(member := getattr(family, name))]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SHAPES = [(5, 4), (1, 1), (3, 8), (4, 3, 2, 2)]

every_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)


def build(member: type, **known: Any) -> Projection:
    """An instance with the arguments that the test knows by name; other ones keep their defaults."""
    accepted = inspect.signature(member).parameters
    return member(**{name: value for name, value in {"radius": 2.0, **known}.items() if name in accepted})


def draw(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one, other) and torch.equal(one.signbit(), other.signbit())


def test_the_family_has_members() -> None:
    assert {"L1Ball", "L21Ball", "NuclearBall", "L11Ball"} <= {member.__name__ for member in MEMBERS}


@every_member
def test_fulfils_the_protocol_and_has_a_card(member: type) -> None:
    assert isinstance(build(member), Projection)
    assert member.__card__.title
    if not member.nearest:
        assert "nearest" in member.__card__.differs


@every_member
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_keeps_shape_dtype_device_and_input(member: type, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = draw(shape, 0, dtype)
    before = tensor.clone()
    result = build(member)(tensor)
    assert (result.shape, result.dtype, result.device) == (tensor.shape, tensor.dtype, tensor.device)
    assert result.isfinite().all()
    assert same_bits(tensor, before)
    assert result.data_ptr() != tensor.data_ptr()


@every_member
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_twice_is_once_bit_for_bit(member: type, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(st.sampled_from(SHAPES))
    size = torch.Size(shape).numel()
    finite = st.floats(-1e4, 1e4, width=16) | st.sampled_from([0.0, 1.0, -1.0, 0.5])
    tensor = torch.tensor(data.draw(st.lists(finite, min_size=size, max_size=size)), dtype=dtype).reshape(
        shape
    )
    radius = data.draw(st.sampled_from([0.0, 1e-6, 1.0, 1e3]) | st.floats(1e-3, 1e5))
    projection = build(member, radius=radius)
    once = projection(tensor)
    assert same_bits(projection(once), once)


@every_member
def test_nearest_among_a_thousand_allowed_points(member: type) -> None:
    """Images of random tensors are allowed points; none is nearer than the image of the tensor itself."""
    if not member.nearest:
        return
    tensor, projection = draw((5, 4), 1), build(member)
    image = projection(tensor)
    distance = (tensor - image).norm()
    for seed in range(1000):
        nudge = draw((5, 4), seed) * 10.0 ** (seed % 7 - 4)
        allowed = projection(nudge if seed % 2 else image + nudge)
        assert (tensor - allowed).norm() >= distance * (1 - 1e-12)


@every_member
def test_accepts_a_parameter_and_is_differentiable(member: type) -> None:
    parameter = torch.nn.Parameter(draw((5, 4), 2))
    result = build(member)(parameter)
    (gradient,) = torch.autograd.grad(result.square().sum(), parameter)
    assert gradient.isfinite().all()
    assert parameter.grad is None


@every_member
def test_linear_twin_is_allowed_and_no_image_is_better(member: type) -> None:
    projection = build(member)
    if not isinstance(projection, LinearMinimiser):
        return
    gradient = draw((5, 4), 3)
    vertex = projection.minimise_linear(gradient)
    assert vertex.shape == gradient.shape
    torch.testing.assert_close(projection(vertex), vertex, rtol=0, atol=0)
    value = (gradient * vertex).sum()
    for seed in range(200):
        assert (gradient * projection(draw((5, 4), seed))).sum() >= value
    half = projection.minimise_linear(gradient.half())
    assert half.dtype == torch.float16
    assert same_bits(projection(half), half)
