from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from netsmith.searches.sampling import annealed, draw, gumbel_like, perturbed


def test_drawn_options_differ_and_the_first_follows_the_logits_as_the_temperature_falls():
    torch.manual_seed(0)
    logits = torch.tensor([0.5, -0.5, 1.0, 0.0, -1.0])
    counts = torch.zeros(5)
    for _ in range(4000):
        chosen, _ = draw(logits, 0.01, 2)
        assert chosen[0] != chosen[1]
        counts[chosen[0]] += 1
    expected = 4000 * logits.softmax(0)
    assert chisquare(counts.numpy(), expected.numpy() * float(counts.sum() / expected.sum())).pvalue > 1e-3


def test_a_high_temperature_draws_evenly():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    counts = torch.zeros(4)
    for _ in range(2000):
        counts[draw(logits, 1e4, 1)[0]] += 1
    assert chisquare(counts.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_weights_sum_to_one_over_what_was_drawn(samples):
    chosen, weights = draw(torch.randn(4), 2.0, samples)
    assert len(set(chosen.tolist())) == samples
    assert float(weights.sum()) == pytest.approx(1.0)


def test_weights_are_the_probabilities_among_those_drawn_with_their_gradient():
    torch.manual_seed(3)
    logits = torch.randn(5, dtype=torch.float64, requires_grad=True)
    state = torch.get_rng_state()
    chosen, weights = draw(logits, 1.5, 2)
    torch.set_rng_state(state)
    noisy = perturbed(logits, 1.5).softmax(0)
    torch.testing.assert_close(weights, noisy[chosen] / noisy[chosen].sum())
    (gradient,) = torch.autograd.grad(weights[0], logits)
    probability = float(weights[0].detach())
    slope = probability * (1 - probability) / 1.5
    # Of the log softmax all options have the same share, which cancels between the two that are drawn.
    expected = torch.zeros(5, dtype=torch.float64)
    expected[chosen[0]], expected[chosen[1]] = slope, -slope
    torch.testing.assert_close(gradient, expected)


def test_one_weight_takes_all_as_the_temperature_falls():
    torch.manual_seed(0)
    for _ in range(50):
        _, weights = draw(torch.tensor([0.0, 1.0, 2.0]), 1e-4, 2)
        assert float(weights[0]) == pytest.approx(1.0)


def test_noise_that_is_not_finite_is_drawn_again(monkeypatch):
    zeros = [torch.zeros(3), torch.full((3,), float("inf")), torch.ones(3)]
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda tensor: zeros.pop(0))
    assert gumbel_like(torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert zeros == []


def test_temperature_falls_by_half_a_cosine():
    assert annealed(0.0, 10.0, 0.1) == 10.0
    assert annealed(0.5, 10.0, 0.1) == pytest.approx(5.05)
    assert annealed(1.0, 10.0, 0.1) == pytest.approx(0.1)
