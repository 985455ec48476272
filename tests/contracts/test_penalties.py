"""Every penalty keeps the contract: a finite scalar with an exact gradient that leaves the model as found."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from netsmith import penalties
from netsmith.cards import Card
from netsmith.contracts import Penalty
from netsmith.errors import NetsmithError

CLASSES = [
    getattr(penalties, name) for name in penalties.__all__ if inspect.isclass(getattr(penalties, name))
]
# First convolution -> second, whose channels are read by the linear layer as 4 positions each.
PIECES = {
    "0.weight:0": [
        ("0.weight", 0, [[0], [1], [2]]),
        ("0.bias", 0, [[0], [1], [2]]),
        ("3.weight", 1, [[0], [1], [2]]),
    ],
    "3.weight:0": [("3.weight", 0, [[0], [1]]), ("5.weight", 1, [[0, 1, 2, 3], [4, 5, 6, 7]])],
}


def fake_graph() -> SimpleNamespace:
    groups = [
        SimpleNamespace(
            name=name,
            size=len(pieces[0][2]),
            slices=tuple(SimpleNamespace(tensor=t, dim=d, index=torch.tensor(i)) for t, d, i in pieces),
        )
        for name, pieces in PIECES.items()
    ]
    return SimpleNamespace(groups=groups, frozen={})


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Conv2d(3, 2, 3),
            nn.Flatten(),
            nn.Linear(8, 3),
        )


def members() -> list[object]:
    made = []
    for cls in CLASSES:
        made.append(pytest.param(lambda cls=cls, **kw: cls(**{"strength": 0.1, **kw}), id=cls.__name__))
        if "graph" in inspect.signature(cls).parameters:
            graph = fake_graph()
            made.append(
                pytest.param(
                    lambda cls=cls, graph=graph, **kw: cls(graph, **{"strength": 0.1, **kw}),
                    id=f"{cls.__name__}-graph",
                )
            )
    return made


every = pytest.mark.parametrize("make", members())


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_member_has_a_card_and_documents_its_mistakes(cls):
    assert isinstance(cls.__card__, Card)
    assert cls.__card__.title
    assert cls.__card__.paper
    assert "Raises:" in cls.__doc__


@every
def test_is_a_finite_scalar_linear_in_strength(make):
    model = network()
    penalty = make()
    assert isinstance(penalty, Penalty)
    value = penalty(model)
    assert value.shape == ()
    assert value.isfinite()
    assert value > 0
    assert value.requires_grad
    assert make(strength=0.0)(model) == 0
    torch.testing.assert_close(make(strength=0.3)(model), 3 * value)


@every
def test_gradient_is_that_of_the_value(make):
    model = network().double()
    wrapper = nn.Module()
    wrapper.model = model
    penalty = make()
    wrapper.forward = lambda: penalty(model)
    names, values = zip(*model.named_parameters(), strict=True)

    def function(*tensors):
        return functional_call(wrapper, {f"model.{n}": t for n, t in zip(names, tensors, strict=True)}, ())

    inputs = [value.detach().clone().requires_grad_() for value in values]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@every
def test_leaves_the_model_as_found(make):
    model = network().train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    model[3].weight.grad = torch.ones_like(model[3].weight)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random_state = torch.get_rng_state()
    make()(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert [module.training for module in model.modules()] == modes
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["3.weight"]
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight))
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.bias"]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    assert not any(p._backward_hooks for p in model.parameters())


@every
def test_acts_on_weights_only_by_default(make):
    model = network()
    make()(model).backward()
    touched = {name for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {"0.weight", "3.weight", "5.weight"}


@every
def test_select_chooses_the_tensors(make):
    model = network()
    make(select=lambda name, tensor: name == "3.weight")(model).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"3.weight"}


@every
def test_zero_tensors_leave_the_sum(make):
    model = network()
    with torch.no_grad():
        model[3].weight.zero_()
    value = make()(model)
    value.backward()
    assert value.isfinite()
    assert value > 0
    assert torch.equal(model[3].weight.grad, torch.zeros_like(model[3].weight))
    assert model[0].weight.grad.isfinite().all()

    model.zero_grad()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    value = make()(model)
    value.backward()
    assert value == 0
    assert all(p.grad is None or torch.equal(p.grad, torch.zeros_like(p)) for p in model.parameters())


@every
def test_zeros_inside_a_tensor_get_a_zero_gradient(make):
    model = network()
    with torch.no_grad():
        model[0].weight[1] = 0
        model[3].weight[:, 1] = 0
    make()(model).backward()
    assert model[0].weight.grad.isfinite().all()
    assert torch.equal(model[0].weight.grad[1], torch.zeros_like(model[0].weight[1]))


@every
def test_nan_reaches_the_loss(make):
    model = network()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = float("nan")
    assert make()(model).isnan()


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(make, dtype):
    model = network()
    with torch.no_grad():
        model[5].weight.mul_(2000)  # its squares overflow float16
    half = network().to(dtype)
    half.load_state_dict(model.state_dict())
    value = make()(half)
    value.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, make()(half.float()))
    assert half[5].weight.grad.isfinite().all()


@every
def test_moves_with_the_model(make):
    penalty = make()
    values = [penalty(network().to(dtype)) for dtype in (torch.float32, torch.float64)]
    torch.testing.assert_close(values[0].double(), values[1], rtol=1e-5, atol=0)


@every
@pytest.mark.parametrize("strength", [-1e-3, float("nan"), float("inf")])
def test_strength_must_be_finite_and_not_negative(make, strength):
    with pytest.raises(NetsmithError, match=r"strength is .*; expected a finite number >= 0"):
        make(strength=strength)


@every
def test_selecting_nothing_is_said(make):
    with pytest.raises(NetsmithError, match=r"no parameter of Sequential was selected \(it has: 0\.weight"):
        make(select=lambda name, tensor: False)(network())
