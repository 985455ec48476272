from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsmith.errors import NetsmithError
from netsmith.sparsity import obd_elements


def test_diagonal_quadratic_is_exact_with_one_draw() -> None:
    torch.manual_seed(0)
    model, curvature = nn.Linear(6, 4, bias=False).double(), torch.rand(4, 6, dtype=torch.float64)
    minimum = model.weight.detach().clone()

    def loss(network: nn.Module) -> Tensor:
        return 0.5 * (curvature * (network.weight - minimum).square()).sum()

    found = obd_elements(model, loss, draws=1)["weight"]
    for row in range(4):
        for column in range(6):
            with torch.no_grad():
                model.weight[row, column] = 0
            increase = float(loss(model).detach())
            with torch.no_grad():
                model.weight.copy_(minimum)
            assert float(found[row, column]) == pytest.approx(increase, abs=1e-12)


def test_draws_are_as_near_to_the_hessians_diagonal_as_their_standard_error_says() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(), torch.randn(8, 3).double()
    draws, names = 400, ["0.weight", "2.weight"]

    def of(*weights: Tensor) -> Tensor:
        named = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(model, named, (x,)).square().sum()

    weights = tuple(model.get_parameter(name).detach() for name in names)
    blocks = torch.autograd.functional.hessian(of, weights)
    sizes = [weight.numel() for weight in weights]
    rows = [
        torch.cat([block.reshape(size, -1) for block in row], 1)
        for row, size in zip(blocks, sizes, strict=True)
    ]
    hessian = torch.cat(rows)
    diagonal = hessian.diagonal()
    error = ((hessian.square().sum(1) - diagonal.square()) / draws).sqrt()
    squares = torch.cat([weight.flatten() for weight in weights]).square()
    found = obd_elements(model, lambda m: m(x).square().sum(), draws=draws)
    got = torch.cat([found[name].flatten() for name in names])
    assert ((got - diagonal * squares / 2).abs() <= 5 * error * squares / 2).all()
    assert (error < 0.2 * diagonal.abs().max()).all()


def test_no_curvature_scores_zero_and_mistakes() -> None:
    model = nn.Linear(2, 1)
    assert not obd_elements(model, lambda m: m(torch.ones(1, 2)).sum())["weight"].any()
    with pytest.raises(NetsmithError, match="draws is 0"):
        obd_elements(model, lambda m: m(torch.ones(1, 2)).sum(), draws=0)
    with pytest.raises(NetsmithError, match="the score obd needs data"):
        obd_elements(model, None)
