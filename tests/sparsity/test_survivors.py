from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsmith.errors import NetsmithError
from netsmith.sparsity import survivors


@given(st.integers(1000, 10**7), st.integers(1, 18))
def test_each_iteration_removes_the_floor_of_a_fifth(total: int, iterations: int) -> None:
    left, expected = total, []
    for _ in range(iterations):
        left -= left // 5
        expected.append(left)
    assert survivors(total, iterations=iterations) == expected


def test_a_share_is_the_decimal_that_is_written() -> None:
    assert int(0.29 * 100) == 28
    assert survivors(100, rate=0.29, iterations=1) == [71]
    assert survivors(100, density=0.29, rate=0.8) == [29]


@given(st.integers(1000, 10**6), st.floats(0.05, 0.99), st.floats(0.05, 0.9))
def test_a_density_is_met_by_the_last_cut(total: int, density: float, rate: float) -> None:
    counts = survivors(total, density=density, rate=rate)
    assert density * total - 1 < counts[-1] <= density * total * (1 + 1e-12)
    assert sorted(counts, reverse=True) == counts
    assert counts[:-1] == survivors(total, rate=rate, iterations=len(counts))[:-1]


def test_density_and_iterations_together() -> None:
    assert survivors(10_000, iterations=4, density=0.42)[-1] == 4200
    with pytest.raises(NetsmithError, match=r"4 iterations at rate 0\.2 reach density 0\.41 at the least"):
        survivors(10_000, iterations=4, density=0.3)
    with pytest.raises(NetsmithError, match=r"density 0\.8 of 10000 weights is reached after 1 it"):
        survivors(10_000, iterations=4, density=0.8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0, "iterations": 1}, "rate is 0"),
        ({"rate": 1.0, "iterations": 1}, "rate is 1"),
        ({}, "expected iterations, density, or both"),
        ({"iterations": 0}, "iterations is 0"),
        ({"density": 1.0}, r"density is 1\.0"),
        ({"iterations": 9, "rate": 0.01}, "removes none of the last 50 of 50 weights"),
        ({"density": 0.05}, r"removes none of the last 4 of 50 weights \(density 0\.08\)"),
    ],
)
def test_mistakes(options: dict[str, float], message: str) -> None:
    with pytest.raises(NetsmithError, match=message):
        survivors(50, **options)  # type: ignore[arg-type]
