from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsmith.errors import NetsmithError
from netsmith.sparsity import erdos_renyi, erdos_renyi_kernel, uniform

RULES = [uniform, erdos_renyi, erdos_renyi_kernel]
LENET = {"0": (300, 784), "2": (100, 300), "4": (10, 100)}
shapes = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4), min_size=1, max_size=8)


@pytest.mark.parametrize("rule", RULES)
@given(shapes, st.floats(0.001, 1))
def test_whole_numbers_that_add_up_to_the_budget(rule, given_shapes, density) -> None:
    layers = {str(number): tuple(shape) for number, shape in enumerate(given_shapes)}
    total = sum(math.prod(shape) for shape in layers.values())
    if round(density * total) < len(layers):
        with pytest.raises(NetsmithError, match="expected one each at least"):
            rule(layers, density)
        return
    counts = rule(layers, density)
    assert sum(counts.values()) == round(density * total)
    assert all(1 <= counts[name] <= math.prod(shape) for name, shape in layers.items())


def test_relative_densities_are_those_of_the_papers() -> None:
    counts = erdos_renyi(LENET, 0.05)
    density = {name: counts[name] / math.prod(shape) for name, shape in LENET.items()}
    one, other = (sum(LENET[name]) / math.prod(LENET[name]) for name in ("0", "2"))
    assert density["0"] / density["2"] == pytest.approx(one / other, rel=1e-3)
    convolutions = {"a": (64, 32, 3, 3), "b": (128, 64, 3, 3)}
    found = erdos_renyi_kernel(convolutions, 0.1)
    expected = (64 + 32 + 6) / (128 + 64 + 6)
    assert found["a"] / found["b"] == pytest.approx(expected, rel=1e-3)


def test_a_full_layer_leaves_the_rest_to_the_others() -> None:
    counts = erdos_renyi(LENET, 0.3)
    assert counts["4"] == 1000
    assert sum(counts.values()) == round(0.3 * (235200 + 30000 + 1000))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("density", [0.0, 1.1, -1.0, float("nan")])
def test_mistakes(rule, density) -> None:
    with pytest.raises(NetsmithError, match="expected the share of non-zeros, above 0 up to 1"):
        rule(LENET, density)
