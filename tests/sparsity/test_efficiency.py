from __future__ import annotations

import math

import pytest

from netsmith.errors import NetsmithError
from netsmith.sparsity import Point, per_operation, per_parameter, pruned_parameter_efficiency, slopes

DENSE = [Point(100, 0.5), Point(10_000, 0.9)]


def test_a_pruned_network_is_set_against_a_dense_one_of_its_size() -> None:
    found = pruned_parameter_efficiency([Point(100, 0.6), Point(1000, 0.7), Point(10_000, 0.85)], DENSE)
    assert found == pytest.approx([0.1, 0.0, -0.05])


def test_outside_of_the_dense_sizes_nothing_is_claimed() -> None:
    assert all(map(math.isnan, pruned_parameter_efficiency([Point(50, 0.6), Point(20_000, 0.9)], DENSE)))


def test_slopes_are_per_doubling_in_any_order() -> None:
    assert slopes([Point(400, 0.9), Point(100, 0.5)]) == pytest.approx([0.2])
    assert per_parameter(Point(200, 0.5)) == 0.0025
    assert per_operation(Point(200, 0.5, operations=1000)) == 0.0005


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="two sizes at least"):
        pruned_parameter_efficiency([Point(10, 1)], DENSE[:1])
    with pytest.raises(NetsmithError, match="no non-zero parameter"):
        pruned_parameter_efficiency([Point(0, 1)], DENSE)
    with pytest.raises(NetsmithError, match="no non-zero parameter"):
        slopes([Point(0, 1), Point(1, 1)])
    with pytest.raises(NetsmithError, match="same number of non-zeros"):
        slopes([Point(5, 1), Point(5, 2)])
    with pytest.raises(NetsmithError, match="nan operations"):
        per_operation(Point(5, 1))
