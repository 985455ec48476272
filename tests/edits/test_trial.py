"""A removal on trial ends as the same removal, or as the very model it began with."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits import remove
from netsmith.edits.trial import removed

X = torch.randn(2, 5, 6)


def make():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(6, 8), encoder, nn.Linear(8, 3)).eval()


def half(graph):
    return {g.name: torch.arange(g.size) % 2 == 1 for g in graph.groups}


def test_a_removal_that_holds_is_the_removal():
    model = make()
    graph = ns.trace(model, X)
    parameters = dict(model.named_parameters())
    expected, records = remove(model, graph, half(graph))
    with removed(model, graph, half(graph)):
        pass
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(model(X), expected(X))
    assert ns.records(model) == records


def test_a_removal_that_fails_leaves_nothing_behind():
    model = make()
    model(X).sum().backward()
    before = copy.deepcopy(model)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    classes = [type(module) for module in model.modules()]
    graph = ns.trace(model, X)
    with pytest.raises(RuntimeError, match="4, 6"), removed(model, graph, half(graph)):
        raise RuntimeError(tuple(model[0].weight.shape))
    torch.testing.assert_close(model.state_dict(), before.state_dict(), rtol=0, atol=0)
    assert all(parameter.grad is gradients[name] for name, parameter in model.named_parameters())
    assert [type(module) for module in model.modules()] == classes
    assert repr(model) == repr(before)
    assert ns.records(model) == []
    torch.testing.assert_close(model(X), before(X), rtol=0, atol=0)


def test_a_failed_verification_in_place_leaves_the_model(monkeypatch):
    model = make()
    before = copy.deepcopy(model.state_dict())

    def misread(*_):
        raise ns.errors.EditError("misread")

    monkeypatch.setattr("netsmith.cutting.shrink.check_against", misread)
    with pytest.raises(ns.errors.EditError, match="misread"):
        ns.shrink(model, X, ratio=0.5, inplace=True)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
