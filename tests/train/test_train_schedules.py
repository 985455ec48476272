"""Schedules, and the clock they follow."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from netsmith.clock import Clock
from netsmith.contracts import Clock as ClockContract
from netsmith.training.schedules import cosine, resolve


def test_cosine_values() -> None:
    assert cosine(0.0) == 0.01
    assert cosine(0.025) == pytest.approx(0.505)
    assert cosine(0.05) == 1.0
    assert cosine(0.05 + 0.95 / 3) == pytest.approx(0.75)
    assert cosine(1.0) == pytest.approx(0.0, abs=1e-15)
    assert cosine(0.5, warmup=0.0) == pytest.approx(0.5)


def test_cosine_rises_then_falls_without_a_jump() -> None:
    values = [cosine(step / 1000) for step in range(1001)]
    assert values[:51] == sorted(values[:51])
    assert values[50:] == sorted(values[50:], reverse=True)
    assert max(abs(a - b) for a, b in pairwise(values)) < 0.021


def test_names() -> None:
    assert resolve("cosine") == ("cosine", cosine)
    assert resolve(None)[1](0.3) == resolve("constant")[1](0.9) == 1.0
    assert resolve(math.sqrt) == ("sqrt", math.sqrt)


def test_the_clock_fulfils_its_contract() -> None:
    clock: ClockContract = Clock(step=7, steps_per_epoch=3, epochs=4)
    assert (clock.step, clock.epoch, clock.progress) == (7, 2, 7 / 12)
    assert Clock(0, 3, 0).progress == 1.0
