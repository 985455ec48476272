from __future__ import annotations

import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.gates import ScaledSigmoid, scaled_sigmoid


def test_tends_to_the_step():
    logits = torch.tensor([-2.0, -0.1, -0.002, 0.002, 0.1, 2.0])
    step = (logits > 0).float()
    distances = [float((scaled_sigmoid(logits, delta) - step).abs().max()) for delta in (1, 1e2, 1e4)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6
    assert float(scaled_sigmoid(torch.zeros(1), 1e4)) == 0.5


def test_slope_grows_by_one_factor_on_each_level():
    gate = ScaledSigmoid(2, delta=(1.0, 1e4), levels=10)
    slopes = [float(gate.delta)]
    for step in range(1, 1001):
        if gate.anneal(step / 1000):
            slopes.append(float(gate.delta))
    expected = [10 ** (0.4 * level) for level in range(1, 11)]
    assert slopes == pytest.approx(expected)
    assert not gate.anneal(1.0)


def test_the_penalty_does_not_see_the_slope():
    gate = ScaledSigmoid(3)
    with torch.no_grad():
        gate.logits.copy_(torch.tensor([-1.0, 0.0, 2.0]))
    values = []
    for progress in (0.0, 1.0):
        gate.anneal(progress)
        gate.logits.grad = None
        gate.measure().backward()
        values.append(gate.logits.grad)
    sigma = torch.sigmoid(gate.logits.detach())
    torch.testing.assert_close(gate.measure(), sigma.sum(), check_dtype=False)
    assert torch.equal(values[0], values[1])
    torch.testing.assert_close(values[0], sigma * (1 - sigma))


@pytest.mark.parametrize("delta", [(1.0, 1e4), (1e-3, 1.0)])
def test_hard_gates_are_a_mask_and_learn_no_more(delta):
    gate = ScaledSigmoid(3, delta=delta)
    stay = torch.tensor([True, False, True])
    gate.harden(stay)
    for progress in (0.0, 1.0):
        gate.anneal(progress)
        gate.logits.grad = None
        (gate().sum() + gate.measure()).backward()
        assert torch.equal(gate(), stay.float())
        assert not gate.logits.grad.any()


@pytest.mark.parametrize("delta", [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, float("inf"))])
def test_delta_must_grow(delta):
    with pytest.raises(NetsmithError, match="must grow from a positive number to a finite one"):
        ScaledSigmoid(2, delta=delta)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 2, "levels": 0}])
def test_size_and_levels_are_at_least_one(wrong):
    with pytest.raises(NetsmithError, match="must both be at least 1"):
        ScaledSigmoid(**wrong)
