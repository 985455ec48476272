from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.masks import hold, threshold_masks


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))


def step(model, optimizer, after_step=None):
    optimizer.zero_grad()
    model(torch.ones(4, 8) + torch.arange(4.0)[:, None]).square().sum().backward()
    optimizer.step()
    if after_step is not None:
        after_step(model, None)


def test_rules_are_relative_to_the_deviation_or_absolute():
    model = network()
    std = threshold_masks(model, rule="std", value=0.5)
    assert list(std) == ["0.weight", "2.weight"]
    w = model[0].weight.detach()
    assert torch.equal(std["0.weight"], w.abs() > 0.5 * w.std(correction=0))
    assert torch.equal(threshold_masks(model, rule="abs", value=0.1)["0.weight"], w.abs() > 0.1)
    with torch.no_grad():
        model[0].weight.mul_(1000)
    assert torch.equal(threshold_masks(model, rule="std", value=0.5)["0.weight"], std["0.weight"])


def test_zeros_never_stay():
    model = network()
    with torch.no_grad():
        model[0].weight.zero_()
    assert not threshold_masks(model, rule="std", value=0.0)["0.weight"].any()


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD])
def test_held_entries_stay_zero_and_the_others_train(optimiser):
    model = network()
    masks = threshold_masks(model, value=1.0)
    with hold(model, masks) as keep:
        optimizer = optimiser(model.parameters(), lr=0.01)
        before = model[0].weight.detach().clone()
        for _ in range(5):
            step(model, optimizer)
            assert not model[0].weight[~masks["0.weight"]].any()
        keep(model, None)
    assert not torch.equal(model[0].weight[masks["0.weight"]], before[masks["0.weight"]])
    assert not before[~masks["0.weight"]].any()


def test_after_step_overcomes_momentum_from_before():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    step(model, optimizer)
    masks = threshold_masks(model, value=1.0)
    with hold(model, masks) as keep:
        step(model, optimizer)
        assert model[0].weight[~masks["0.weight"]].any()
        step(model, optimizer, keep)
        assert not model[0].weight[~masks["0.weight"]].any()


def test_leaves_no_hook_behind_also_after_an_error():
    model = network()
    masks = threshold_masks(model, value=1.0)
    with pytest.raises(RuntimeError, match="stop"), hold(model, masks):
        raise RuntimeError("stop")
    assert not any(p._backward_hooks for p in model.parameters())
    step(model, torch.optim.SGD(model.parameters(), lr=0.01))
    assert model[0].weight.grad[~masks["0.weight"]].any()


def test_a_masked_nan_is_gone():
    model = network()
    masks = threshold_masks(model, value=0.0)
    masks["0.weight"][0, 0] = False
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    with hold(model, masks):
        assert model[0].weight[0, 0] == 0


def test_mistakes_are_named():
    model = network()
    with pytest.raises(UnknownNameError, match="did you mean std"):
        threshold_masks(model, rule="sdt")
    with pytest.raises(NetsmithError, match="value is -1; expected a finite number >= 0"):
        threshold_masks(model, value=-1)
    with pytest.raises(NetsmithError, match="no parameter of Sequential was selected"):
        threshold_masks(model, select=lambda name, tensor: False)
    with pytest.raises(UnknownNameError, match=r"unknown parameter '0\.wight'; did you mean 0\.weight"):
        hold(model, {"0.wight": torch.ones(6, 8, dtype=torch.bool)})
    with pytest.raises(NetsmithError, match=r"expected torch\.bool of shape \(6, 8\)"):
        hold(model, {"0.weight": torch.ones(8, 6, dtype=torch.bool)})
    with pytest.raises(NetsmithError, match=r"mask of '0\.weight' is torch\.float32"):
        hold(model, {"0.weight": torch.ones(6, 8)})
