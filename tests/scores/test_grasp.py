from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsmith as ns
from netsmith.scores.grasp import grasp, grasp_elements


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 24), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unsqueeze(1).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(query, key, value).squeeze(1))


def flow(model: nn.Module, loss: object) -> float:
    slopes = torch.autograd.grad(loss(model), [p for p in model.parameters() if p.dim() > 1])
    return float(sum(slope.square().sum() for slope in slopes))


def test_elements_are_half_the_slope_of_the_gradient_flow_by_a_gate_on_each_weight() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double(), torch.randn(6, 3).double()

    def loss(network: nn.Module) -> Tensor:
        return network(x).square().sum()

    found, step = grasp_elements(model, loss), 1e-5
    for name, row, column in (("0.weight", 1, 2), ("2.weight", 0, 4), ("2.weight", 1, 0)):
        weight, flows = model.get_parameter(name), []
        for factor in (1 + step, (1 - step) / (1 + step), 1 / (1 - step)):
            with torch.no_grad():
                weight[row, column] *= factor
            flows.append(flow(model, loss))
        slope = (flows[0] - flows[1]) / (2 * step)
        torch.testing.assert_close(float(found[name][row, column]), slope / 2, rtol=1e-5, atol=1e-7)


def test_fused_attention_is_differentiated_twice() -> None:
    model, x = Attention(), torch.randn(2, 3, 4)
    found = grasp_elements(model, lambda m: m(x).square().sum())
    assert all(bool(value.any()) for value in found.values())


def test_channels_sum_their_weights() -> None:
    model, x = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), torch.randn(6, 3)

    def loss(network: nn.Module) -> Tensor:
        return network(x).square().sum()

    found = grasp_elements(model, loss)
    expected = found["0.weight"].double().sum(1) + found["2.weight"].double().sum(0)
    torch.testing.assert_close(grasp(model, loss, ns.trace(model, x))["0.weight:0"], expected)


def test_a_loss_linear_in_all_weights_has_no_curvature() -> None:
    model = nn.Linear(3, 2)
    assert not grasp_elements(model, lambda m: m(torch.ones(1, 3)).sum())["weight"].any()
