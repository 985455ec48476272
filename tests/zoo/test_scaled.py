from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netsmith.zoo.scaled import scaled


@given(st.integers(1, 4096), st.floats(0.01, 10), st.sampled_from([1, 8]))
def test_is_a_multiple_near_the_product(channels: int, width: float, multiple: int) -> None:
    result = scaled(channels, width, multiple)
    wanted = channels * width
    assert result % multiple == 0
    assert result >= multiple
    assert result >= 0.9 * wanted
    assert result < max(multiple, wanted) + multiple


@given(st.integers(1, 4096))
def test_width_one_changes_nothing(channels: int) -> None:
    assert scaled(channels, 1.0) == channels
