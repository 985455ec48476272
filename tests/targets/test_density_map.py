"""Density maps: they sum to what is there, wherever it is, and counts are compared."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsmith.errors import NetsmithError
from netsmith.targets import count, counting_error, density_map


@given(
    st.integers(0, 60),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3, 8]),
    st.sampled_from([0.7, 4.0, "adaptive"]),
    st.integers(0, 99),
)
def test_the_sum_is_the_number_of_points_on_borders_too(number, height, width, stride, sigma, seed):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(number, 2, generator=generator) * torch.tensor([height, width])
    points[: number // 3] = points[: number // 3].round()  # corners and borders among them
    density = density_map(points, (height, width), sigma=sigma, stride=stride)
    assert density.shape == (math.ceil(height / stride), math.ceil(width / stride))
    assert float(density.sum()) == pytest.approx(number, abs=1e-4)
    assert (density >= 0).all()


def test_squares_are_summed():
    points = [[3.0, 4.0], [9.5, 0.0], [10.0, 12.0]]
    fine, coarse = (density_map(points, (10, 12), sigma=2.0, stride=stride) for stride in (1, 4))
    expected = torch.zeros(3, 3)
    for row in range(10):
        for column in range(12):
            expected[row // 4, column // 4] += fine[row, column]
    torch.testing.assert_close(coarse, expected)


def test_one_point_is_a_gaussian_of_its_sigma():
    density = density_map([[50.5, 40.5]], (100, 90), sigma=5.0)
    rows = torch.arange(100) + 0.5
    assert density[50].argmax() == 40
    assert float((density.sum(1) * (rows - 50.5).square()).sum()) == pytest.approx(25, rel=1e-3)
    assert float(density[50, 40]) == pytest.approx(1 / (2 * math.pi * 25), rel=1e-2)


def test_adaptive_points_are_as_wide_as_their_neighbours_are_far():
    corner, side = torch.tensor([300.0, 300.0]), 20.0
    square = corner + side * torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    sigma = 0.3 * (2 * side + side * math.sqrt(2)) / 3
    adaptive, fixed = (density_map(square, (640, 640), sigma=s) for s in ("adaptive", sigma))
    torch.testing.assert_close(adaptive, fixed)
    twice = density_map([[8.0, 8.0], [8.0, 8.0]], (16, 16), sigma="adaptive")
    assert float(twice.sum()) == pytest.approx(2)


def test_counting_error_by_hand():
    predicted, wanted = torch.tensor([[2.0, 1.0], [0.0, 1.0], [5.0, 5.0]]), torch.zeros(3, 2)
    wanted[:, 0] = torch.tensor([1.0, 3.0, 10.0])
    assert count(predicted).tolist() == [3, 1, 10]
    error = counting_error(predicted, wanted)
    assert error == (pytest.approx(4 / 3), pytest.approx(math.sqrt(8 / 3)))


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        ([[5.0, 20.5]], {}, r"point \[5.0, 20.5\] is outside of an image of 10x20"),
        ([[float("nan"), 1.0]], {}, "is outside"),
        ([1.0, 2.0], {}, r"points of shape \(2,\)"),
        ([[1.0, 2.0]], {"sigma": 0}, "sigma=0"),
        ([[1.0, 2.0]], {"stride": 0}, "stride=0"),
    ],
)
def test_mistakes_are_named(points, options, words):
    with pytest.raises(NetsmithError, match=words):
        density_map(points, (10, 20), **options)
