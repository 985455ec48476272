from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsmith.clock import Clock
from netsmith.errors import NetsmithError
from netsmith.sparsity import cubic, cyclic, one_shot


def at(step: int) -> Clock:
    return Clock(step, 100, 10)


def test_cubic_is_exact_at_both_ends_clamped_outside_and_monotone() -> None:
    schedule = partial(cubic, initial=0.2, final=0.95, begin=0.1, end=0.7)
    assert schedule(at(0)) == schedule(at(100)) == pytest.approx(0.2, abs=1e-15)
    assert schedule(at(700)) == schedule(at(1000)) == 0.95
    values = [schedule(at(step)) for step in range(0, 1001, 10)]
    assert values == sorted(values)


@given(st.integers(0, 1000), st.floats(0, 0.99), st.floats(0, 0.99))
def test_cubic_is_the_formula(step: int, initial: float, final: float) -> None:
    expected = final + (initial - final) * (1 - (step - 0) / 1000) ** 3
    assert cubic(at(step), initial=initial, final=final) == pytest.approx(expected, abs=1e-12)


def test_one_shot_is_a_step() -> None:
    schedule = partial(one_shot, final=0.9, at=0.5)
    assert [schedule(at(step)) for step in (0, 499, 500, 1000)] == [0, 0, 0.9, 0.9]


def test_every_cycle_is_the_same_cubic_and_the_last_one_ends() -> None:
    for step in range(0, 500, 50):
        expected = cubic(at(2 * step), final=0.9)
        assert cyclic(at(step), final=0.9, cycles=2) == pytest.approx(expected)
        assert cyclic(at(step + 500), final=0.9, cycles=2) == pytest.approx(expected)
    assert cyclic(at(1000), final=0.9, cycles=2) == 0.9


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="sparsity is 1; expected the share of zeros"):
        cubic(at(0), final=1)
    with pytest.raises(NetsmithError, match=r"sparsity is -0\.1"):
        one_shot(at(0), final=-0.1)
    with pytest.raises(NetsmithError, match=r"begins at 0\.5 and ends at 0\.5; expected an end after it"):
        cubic(at(0), final=0.5, begin=0.5, end=0.5)
    with pytest.raises(NetsmithError, match="cycles is 0"):
        cyclic(at(0), final=0.5, cycles=0)
