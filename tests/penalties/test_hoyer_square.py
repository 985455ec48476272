from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netsmith.penalties import L1, HoyerSquare, group_hoyer_square, hoyer, hoyer_square


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(20,), (7, 5), (8, 3, 3, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_the_closed_form(shape, seed):
    w = normal(*shape, seed=seed).requires_grad_()
    (gradient,) = torch.autograd.grad(hoyer_square(w), w)
    w = w.detach()
    one, two = w.abs().sum(), w.square().sum()
    expected = 2 * w.sign() * one / two**2 * (two - w.abs() * one)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, -1e3])
def test_does_not_change_with_scale(scale):
    w = normal(300)
    torch.testing.assert_close(hoyer_square(scale * w), hoyer_square(w), rtol=1e-13, atol=0)


@given(st.integers(1, 40), st.integers(0, 40), st.floats(1e-3, 1e3), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_equal_magnitudes_are_counted(ones, zeros, magnitude, seed):
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (ones,), generator=generator).double() * 2 - 1
    w = torch.cat([signs * magnitude, torch.zeros(zeros, dtype=torch.float64)])
    w = w[torch.randperm(len(w), generator=generator)]
    assert float(hoyer_square(w)) == pytest.approx(ones, rel=1e-13)


def test_unit_k_hot_vectors_give_exactly_k():
    for k in range(1, 21):
        w = torch.eye(20)[:k].sum(0)
        layer = nn.Linear(20, 1, bias=False)
        layer.weight = nn.Parameter(-4 * w[None])
        assert hoyer_square(w) == k
        assert HoyerSquare(1.0)(layer) == k


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_lies_between_one_and_the_number_of_non_zeros(values):
    w = torch.tensor(values, dtype=torch.float64)
    count = int((w != 0).sum())
    value = float(hoyer_square(w))
    if float(w.square().sum()) < 1e-290:
        assert value == 0
    else:
        assert 1 - 1e-9 <= value <= count * (1 + 1e-9)


def test_is_the_square_of_the_hoyer_measure_and_group_form_of_singletons():
    w = normal(50)
    torch.testing.assert_close(hoyer_square(w), hoyer(w).square(), rtol=1e-14, atol=0)
    torch.testing.assert_close(group_hoyer_square(w.abs()), hoyer_square(w), rtol=1e-14, atol=0)


def test_class_sums_the_function_over_weights_without_averaging():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3)).double()
    expected = hoyer_square(model[0].weight) + hoyer_square(model[2].weight)
    torch.testing.assert_close(HoyerSquare(0.5)(model), 0.5 * expected)


def test_vanishing_and_huge_tensors_stay_finite():
    for scale in (1e-30, 1e-22, 1e-19, 1e18, 1e30):
        w = (normal(64).float() * scale).requires_grad_()
        value = hoyer_square(w)
        value.backward()
        assert value.isfinite()
        assert w.grad.isfinite().all()


def test_descent_trims_below_its_own_threshold_and_grows_above():
    w = normal(20, seed=3)
    for _ in range(20_000):
        leaf = w.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(hoyer_square(leaf), leaf)
        threshold = w.square().sum() / w.abs().sum()
        alive = w != 0
        speed = -(gradient * w.sign())[alive]
        assert torch.equal(speed.sign(), (w.abs() - threshold)[alive].sign())
        stepped = w - 1e-3 * gradient
        # The flow stops at zero: an entry that would change its sign has arrived there.
        w = torch.where(stepped * w > 0, stepped, torch.zeros_like(w))
        if int((w != 0).sum()) <= 5:
            break
    assert 1 <= int((w != 0).sum()) <= 5


def test_l1_shrinks_every_entry_at_one_equal_rate():
    layer = nn.Linear(20, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(normal(1, 20, seed=3))
    L1(0.25)(layer).backward()
    assert torch.equal(layer.weight.grad.abs(), torch.full((1, 20), 0.25, dtype=torch.float64))


def test_sparser_than_without_at_equal_fit():
    x = normal(64, 20)
    truth = torch.zeros(20, 1, dtype=torch.float64)
    truth[:3] = 1.0
    y = x @ truth

    def fit(penalty):
        torch.manual_seed(0)
        layer = nn.Linear(20, 1, bias=False).double()
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(600):
            loss = (layer(x[:16]) - y[:16]).square().mean()  # fewer rows than unknowns
            if penalty is not None:
                loss = loss + penalty(layer)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return int((layer.weight.abs() > 0.05).sum()), (layer(x) - y).square().mean().item()

    plain_count, plain_error = fit(None)
    count, error = fit(HoyerSquare(0.02))
    assert count <= 4
    assert plain_count > 8
    assert error < 0.1 * plain_error
