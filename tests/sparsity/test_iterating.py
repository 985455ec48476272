from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from netsmith.errors import NetsmithError
from netsmith.sparsity import iterated_masks, magnitudes, synflow_elements


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(200, 200, bias=False), nn.ReLU(), nn.Linear(200, 200, bias=False), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(200, 10, bias=False))
    with torch.no_grad():
        model[2].weight *= 0.05
    return model


def test_synflow_in_a_hundred_rounds_empties_no_layer_where_one_shot_magnitude_does() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    score = partial(synflow_elements, inputs=torch.zeros(1, 200))
    masks = iterated_masks(model, score, 0.001, rounds=100)
    assert sum(int(mask.sum()) for mask in masks.values()) == 82
    assert all(bool(mask.any()) for mask in masks.values())
    once = iterated_masks(model, magnitudes, 0.001, rounds=1)
    assert not once["2.weight"].any()
    assert torch.equal(model[0].weight, before)


def test_what_went_does_not_come_back() -> None:
    def turned(model: nn.Module) -> dict[str, torch.Tensor]:
        """Asks for the pruned ones above all."""
        return {"weight": -model.weight.detach().abs()}

    model = nn.Linear(10, 10)
    masks = iterated_masks(model, turned, 0.25, rounds=2)
    half = iterated_masks(model, turned, 0.5, rounds=1)
    assert masks["weight"].sum() == 25
    assert not (masks["weight"] & ~half["weight"]).any()


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="rounds is 0"):
        iterated_masks(nn.Linear(2, 2), magnitudes, 0.5, rounds=0)
