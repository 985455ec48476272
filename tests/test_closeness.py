"""How far two results are apart, by hand."""

import math

import pytest
import torch

from netsmith.closeness import relative_difference, tolerance

INF, NAN = math.inf, math.nan
CASES = {
    "equal": ([1.0, 2.0], [1.0, 2.0], 0.0),
    "relative to the largest": ([1.0, 2.5], [1.0, 2.0], 0.25),
    "infinities both have": ([-INF, 2.0], [-INF, 1.0], 1.0),
    "an infinity one has": ([INF, 2.0], [1.0, 2.0], INF),
    "complex": ([1 + 1j, 2j], [1 + 1j, 1j], 1.0),
    "complex, imaginary alone": ([1 + 0.5j], [1 + 0j], 0.5),
    "whole numbers": ([1, 2], [1, 3], INF),
    "empty": ([], [], 0.0),
    "shapes": ([1.0], [1.0, 1.0], INF),
}


@pytest.mark.parametrize("name", CASES)
def test_difference(name):
    got, want, expected = CASES[name]
    assert relative_difference(torch.tensor(got), torch.tensor(want)) == expected


@pytest.mark.parametrize(("got", "want"), [(NAN, 1.0), (1.0, NAN), (NAN, NAN)])
def test_nan_is_never_close(got, want):
    difference = relative_difference(torch.tensor([got, 1.0]), torch.tensor([want, 1.0]))
    assert not difference <= tolerance(torch.float32)


def test_tolerance_of_complex_numbers_is_that_of_their_parts():
    assert tolerance(torch.complex128) == tolerance(torch.float64)
    assert tolerance(torch.complex64) == tolerance(torch.float32)
