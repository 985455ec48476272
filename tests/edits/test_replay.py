"""Replaying records of any kind: in order, on one copy, whole or not at all."""

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits import describe, replay
from netsmith.errors import EditError

X = torch.zeros(1, 8)


def make():
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))


def record(model):
    return ns.records(ns.shrink(model, X, ratio=0.5))[0]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"kind": "teleport"}, "no edit is of kind 'teleport'; known: 'attend', 'bypass'"),
        ({"kind": "remove"}, r"record 1 \(remove\) does not fit"),
        ({"kind": "remove", "tensors": {"9.weight": {"0": [0]}}}, "no parameter or buffer '9.weight'"),
        ({"kind": "remove", "tensors": {"0.weight": {"0": [5]}}}, "no index 5 along dimension 0"),
        ({"kind": "remove", "tensors": {"0.weight": {"zero": [0]}}}, r"record 1 \(remove\) does not fit"),
        ({"kind": "remove", "tensors": {}, "attributes": {"nobody": {"x": 1}}}, "no module 'nobody'"),
    ],
)
def test_nothing_changes_when_a_later_record_does_not_fit(broken, message, inplace):
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(EditError, match=message):
        replay(model, [record(model), broken], inplace=inplace)
    assert str(model) == str(make())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert ns.records(model) == []


def test_replay_in_place_keeps_the_parameter_objects():
    model = make()
    weight = model[0].weight
    edits = [record(model)]
    assert replay(model, edits, inplace=True) is model
    assert model[0].weight is weight
    assert weight.shape == (3, 8)
    assert ns.records(model) == edits


def test_records_given_are_not_shared_with_the_model():
    model = make()
    edits = [record(model)]
    again = replay(model, edits)
    edits[0]["kind"] = "changed"
    assert ns.records(again)[0]["kind"] == "remove"


def test_a_record_says_in_words_what_it_did():
    assert describe(record(make())) == "remove 3 channels from 0.weight:0"
