from __future__ import annotations

import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.scores.snip import snip, snip_elements

X = torch.randn(8, 5)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))


def loss(model: nn.Module) -> Tensor:
    return model(X).square().sum()


def test_elements_are_the_slopes_by_a_mask_over_their_sum() -> None:
    model = network()
    masks = {name: torch.ones_like(w).requires_grad_() for name, w in model.named_parameters() if w.dim() > 1}
    masked = {name: model.get_parameter(name).detach() * mask for name, mask in masks.items()}
    torch.func.functional_call(model, masked, (X,)).square().sum().backward()
    slopes = {name: mask.grad.abs() for name, mask in masks.items()}
    total = sum(slope.sum() for slope in slopes.values())
    found = snip_elements(model, loss)
    for name, slope in slopes.items():
        torch.testing.assert_close(found[name], slope / total)


def test_the_scale_of_the_loss_makes_no_difference() -> None:
    model, graph = network(), ns.trace(network(), X)
    one, other = snip(model, loss, graph), snip(model, lambda m: 1000 * loss(m), graph)
    torch.testing.assert_close(one["0.weight:0"], other["0.weight:0"])


def test_no_slope_anywhere_scores_zero() -> None:
    found = snip(network(), lambda m: 0 * loss(m), ns.trace(network(), X))
    assert not found["0.weight:0"].any()
