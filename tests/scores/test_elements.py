"""What all scores of single weights share: what they cost, what they leave alone, what they refuse."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.errors import NetsmithError
from netsmith.scores.elements import by_channel, weights_of
from netsmith.scores.grasp import grasp_elements
from netsmith.scores.movement import movement_elements
from netsmith.scores.snip import snip_elements
from netsmith.scores.synflow import synflow_elements
from netsmith.scores.taylor import taylor_elements
from netsmith.scores.wanda import wanda_elements

X = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(1))
OF_A_LOSS = [grasp_elements, movement_elements, snip_elements, taylor_elements, wanda_elements]


class Counted(torch.autograd.Function):
    """The identity, which counts its forward passes, its backward ones and those back through them."""

    passes: ClassVar[list[str]] = []

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Counted.passes.append("forward")
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        Counted.passes.append("backward")
        return Through.apply(gradient)


class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        Counted.passes.append("through backward")
        return gradient


class Counter(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Counted.apply(x)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 6, 3, groups=2), nn.Tanh(),
        Counter(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip


def loss(model: nn.Module) -> Tensor:
    return model(X).square().mean()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("movement", ["forward", "backward"]),
        ("snip", ["forward", "backward"]),
        ("taylor", ["forward", "backward"]),
        ("synflow", ["forward", "backward"]),
        # The forward pass is differentiated once more, as the gradients depend on it.
        ("grasp", ["forward", "backward", "through backward", "backward"]),
        ("wanda", ["forward"]),
    ],
)
def test_passes_are_those_stated(name: str, expected: list[str]) -> None:
    model = network()
    graph = ns.trace(model, X)
    score = ns.scores.SynFlow(X) if name == "synflow" else getattr(ns.scores, name)
    Counted.passes.clear()
    score(model, loss, graph)
    assert sorted(Counted.passes) == sorted(expected)


def test_every_weight_has_a_score_of_its_shape_also_frozen_and_unused_ones() -> None:
    model = network()
    model[7].weight.requires_grad_(False)
    model.unused = nn.Linear(3, 3)
    model.forward = lambda x: model[7](model[6](model[4](model[3](model[2](model[1](model[0](x)))))))  # type: ignore[method-assign]
    shapes = {name: weight.shape for name, weight in weights_of(model).items()}
    for found in (*(elements(model, loss) for elements in OF_A_LOSS), synflow_elements(model, X)):
        assert {name: value.shape for name, value in found.items()} == shapes
        assert all(value.isfinite().all() and not value.requires_grad for value in found.values())
        assert found["7.weight"].any()
    assert not model[7].weight.requires_grad
    assert not taylor_elements(model, loss)["unused.weight"].any()


def test_channels_sum_what_they_own() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    graph = ns.trace(model, torch.zeros(1, 3))
    values = {"0.weight": torch.rand(4, 3), "2.weight": torch.rand(2, 4)}
    both, readers = by_channel(values, graph), by_channel(values, graph, role="in")
    expected = values["2.weight"].double().sum(0)
    torch.testing.assert_close(readers["0.weight:0"], expected)
    torch.testing.assert_close(both["0.weight:0"], expected + values["0.weight"].double().sum(1))


@pytest.mark.parametrize("elements", OF_A_LOSS)
def test_mistakes(elements: Any) -> None:
    with pytest.raises(NetsmithError, match="needs data and got no loss; give loss=lambda model"):
        elements(network(), None)
    with pytest.raises(NetsmithError, match=r"returned a tensor of shape \(5, 3\); expected a scalar"):
        elements(network(), lambda model: model(X))
    with pytest.raises(NetsmithError, match=r"returned 3\.0; expected a scalar"):
        elements(network(), lambda model: 3.0)


def test_a_loss_without_gradients_and_an_output_without_tensors() -> None:
    with pytest.raises(NetsmithError, match="does not depend on the weights"):
        snip_elements(network(), lambda model: loss(model).detach())
    model = network()
    model.append(nn.Module())
    model[8].forward = lambda x: x.argmax()
    with pytest.raises(NetsmithError, match="output is a floating-point tensor"):
        synflow_elements(model, X)
