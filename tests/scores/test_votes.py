from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netsmith.scores.votes import RULES, standardised, tally, votes_of

SHARE = 0.3


def activations(seed: int, examples: int = 12, neurons: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(examples, neurons, generator=generator, dtype=torch.float64).relu()


def one_by_one(h: Tensor, rule: str) -> list[float]:
    """Count the votes example by example, as a reader of the rules would; no two activations are equal."""
    neurons = h.shape[1]
    votes = [0.0] * neurons
    beaten = [[0] * neurons for _ in range(neurons)]
    for row in h.tolist():
        mean = sum(row) / neurons
        ranked = sorted(range(neurons), key=lambda neuron: -row[neuron])
        chosen = {
            "winner": ranked[:1],
            "topk": ranked[: math.ceil(SHARE * neurons)],
            "mean": [neuron for neuron in range(neurons) if row[neuron] > mean],
            "copeland": [],
        }[rule]
        for neuron in chosen:
            votes[neuron] += row[neuron] > 0
        for a in range(neurons):
            for b in range(neurons):
                beaten[a][b] += row[a] > row[b]
    if rule == "copeland":
        return [float(sum(beaten[a][b] > beaten[b][a] for b in range(neurons))) for a in range(neurons)]
    return votes


def cast(h: Tensor, rule: str) -> Tensor:
    return votes_of(tally(h, rule, SHARE), rule)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 10**6))
def test_votes_are_those_of_a_loop_over_examples(rule: str, seed: int) -> None:
    h = activations(seed)
    assert cast(h, rule).tolist() == one_by_one(h, rule)


@pytest.mark.parametrize("rule", RULES)
def test_identities(rule: str) -> None:
    h = activations(0, examples=30)
    h[:, 2] = 0.0
    h[:, 4] = h[:, 5]  # equal ones share
    votes = cast(h, rule)
    assert float(votes[2]) == 0.0
    assert float(votes[4]) == float(votes[5])
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(cast(h[:, order], rule), votes[order])
    torch.testing.assert_close(cast(4.0 * h, rule), votes)
    twice = 1 if rule == "copeland" else 2  # a majority of two copies is that of one
    torch.testing.assert_close(cast(torch.cat([h, h]), rule), twice * votes)


def test_every_example_has_one_vote_for_the_winner() -> None:
    h = activations(1, examples=50)
    assert float(tally(h, "winner").sum()) == 50.0
    h[:5] = 0.0  # who sees nothing active does not vote
    assert float(tally(h, "winner").sum()) == 45.0
    assert float(tally(h[5:], "topk", 1.0).sum()) == float((h[5:] > 0).sum())


def test_blocks_of_comparisons_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    h = activations(2)
    whole = tally(h, "copeland")
    monkeypatch.setattr("netsmith.scores.votes.BLOCK", 100)
    assert torch.equal(tally(h, "copeland"), whole)


def test_standardised_activations_forget_scale_and_level() -> None:
    h = activations(3) + 0.1
    scale = torch.tensor([1.0, 8.0, 0.25, 1.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    for rule in RULES:
        torch.testing.assert_close(cast(standardised(h * scale + 3), rule), cast(standardised(h), rule))
    h[:, 3] = 0.1  # rounding leaves it a deviation
    for rule in RULES:
        assert float(cast(standardised(h), rule)[3]) == 0.0
