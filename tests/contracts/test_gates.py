"""Every exported gate keeps the contract: values from 0 to 1 that can be learnt and end at 0 or 1."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith import gates
from netsmith.cards import Card

GATES = [
    member
    for name in gates.__all__
    if inspect.isclass(member := getattr(gates, name))
    and issubclass(member, nn.Module)
    and hasattr(member, "__card__")
]
every = pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)


def test_there_are_gates():
    assert gates.ScaledSigmoid in GATES


@every
def test_has_a_card_and_documents_its_mistakes(gate):
    assert isinstance(gate.__card__, Card)
    assert gate.__card__.paper
    assert "Raises:" in gate.__doc__


@every
def test_values_are_from_0_to_1_and_learn(gate):
    made = gate(5)
    values = made()
    assert values.shape == (5,)
    assert bool(((values >= 0) & (values <= 1)).all())
    (values.sum() + made.measure()).backward()
    assert all(parameter.grad is not None for parameter in made.parameters())
    assert made.measure().shape == ()


@every
def test_the_gradient_is_that_of_the_value(gate):
    made = gate(4).double()
    parameters = dict(made.named_parameters())

    def function(*tensors):
        given = dict(zip(parameters, tensors, strict=True))
        return torch.func.functional_call(made, given, ())

    inputs = [torch.randn_like(value, requires_grad=True) for value in parameters.values()]
    assert torch.autograd.gradcheck(function, inputs)


@every
def test_anneals_to_0_or_1(gate):
    made = gate(6)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    spread = []
    for progress in (0.0, 0.3, 0.6, 1.0):
        made.anneal(progress)
        values = made().detach()
        spread.append(float(torch.minimum(values, 1 - values).max()))
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 1e-3


@every
def test_state_goes_on_in_the_same_place(gate):
    one, other = gate(3), gate(3)
    one.anneal(0.5)
    with torch.no_grad():
        next(one.parameters()).uniform_(-1, 1)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(), other())


@every
def test_on_a_network_only_the_gates_learn_and_the_model_is_as_found(gate):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
    x = torch.randn(8, 2, 6, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gated = gates.Gated(model, ns.trace(model, x), gate).train()
    gated(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in gated.gate.parameters())
    assert all(p.grad is None for p in [*model.parameters(), *gated.network.parameters()])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
