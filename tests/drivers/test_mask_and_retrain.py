from __future__ import annotations

import copy

import pytest
import torch
from driver_models import loss, network
from torch import nn

from netsmith.drivers import mask_and_retrain
from netsmith.masks import hold
from netsmith.projections import L11Ball


def train(model: nn.Module, after_step: hold | None = None) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
        if after_step is not None:
            after_step(model, None)


def test_zeros_are_held_while_the_rest_recovers() -> None:
    model = network()
    train(model)
    projected = copy.deepcopy(model)
    with torch.no_grad():
        projected[0].weight.copy_(L11Ball(3.0)(projected[0].weight))
    masks = mask_and_retrain(model, L11Ball(3.0), train, select="0")
    assert list(masks) == ["0.weight"]
    assert torch.equal(masks["0.weight"], projected[0].weight.abs() > 1e-4)
    assert (model[0].weight[~masks["0.weight"]] == 0).all()
    assert 0 < int(masks["0.weight"].sum()) < masks["0.weight"].numel()
    assert loss(model).item() < loss(projected).item()


def test_rewinding_starts_from_the_given_weights() -> None:
    model = network()
    initial = copy.deepcopy(model.state_dict())
    train(model)
    masks = mask_and_retrain(model, L11Ball(3.0), lambda model, after_step: None, select="0", rewind=initial)
    torch.testing.assert_close(model[0].weight, initial["0.weight"] * masks["0.weight"], rtol=0, atol=0)
    assert torch.equal(model[3].weight, initial["3.weight"])


def test_nothing_is_left_behind_when_the_training_fails() -> None:
    model = network()

    def fail(model: nn.Module, after_step: hold) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        mask_and_retrain(model, L11Ball(1.0), fail)
    loss(model).backward()
    assert (model[0].weight.grad[model[0].weight == 0] != 0).any()
