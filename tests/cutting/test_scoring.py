from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import EditError, ScoreWarning, UnknownNameError

X = torch.zeros(1, 4)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


def scored(function):
    return lambda model, loss, graph: {group.name: function(group.size) for group in graph.groups}


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (scored(lambda size: torch.rand(size + 1)), r"a score of shape \(7,\) for group .*shape \(6,\)"),
        (scored(lambda size: torch.tensor(1.0)), r"a score of shape \(\) for group"),
        (scored(lambda size: [1.0] * size), r"a list for group .*expected a tensor of shape \(6,\)"),
        (scored(lambda size: torch.full((size,), float("nan"))), "holds NaN or infinity"),
        (lambda model, loss, graph: torch.rand(14), "the score returned a Tensor; expected a dictionary"),
        (lambda model, loss, graph: {}, "no score for group"),
    ],
    ids=["too long", "a number", "a list", "NaN", "one tensor", "nothing"],
)
def test_score_that_does_not_fit_is_refused_and_the_model_is_untouched(model, score, words):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(EditError, match=words):
        ns.shrink(model, X, ratio=0.5, score=score, inplace=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_constant_score_is_told(model):
    with pytest.warns(ScoreWarning, match="the score is 3 for each of the 14 channels"):
        ns.shrink(model, X, ratio=0.5, score=scored(lambda size: torch.full((size,), 3.0)))


def test_group_that_is_scored_away_keeps_one_channel_and_is_told(model):
    def score(model, loss, graph):
        return {
            group.name: torch.zeros(group.size) if group.size == 6 else torch.rand(8)
            for group in graph.groups
        }

    with pytest.warns(ScoreWarning, match=r"all channels of group 0\.weight:0 were scored away .*one stays"):
        small = ns.shrink(model, X, ratio=0.5, score=score)
    assert (small[0].out_features, small[2].out_features) == (1, 7)


def test_score_that_tells_channels_apart_is_not_talked_about(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ns.shrink(model, X, ratio=0.9)


def test_a_budget_may_be_text(model):
    small = ns.shrink(model, X, budget="macs=0.5,params=0.9")
    assert str(small) == str(ns.shrink(model, X, budget=ns.Budget(macs=0.5, params=0.9)))
    with pytest.raises(UnknownNameError, match="unknown budget 'mac'; did you mean macs"):
        ns.shrink(model, X, budget="mac=0.5")
