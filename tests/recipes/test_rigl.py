from __future__ import annotations

from typing import Any

import torch
from torch import nn

import netsmith as ns
from netsmith.clock import Clock
from netsmith.recipes import Job, rigl
from netsmith.sparsity import erdos_renyi_kernel


def test_layers_keep_their_densities_while_the_weights_change() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    asked: dict[str, Any] = {}

    def train(model: nn.Module, *, after_step: Any, optimizer: Any, **settings: Any) -> None:
        asked.update(settings, masks={name: mask.clone() for name, mask in after_step.masks.items()})
        for step in range(1, 21):
            optimizer.zero_grad()
            model(torch.randn(8, 6)).square().sum().backward()
            optimizer.step()
            after_step(model, Clock(step, 20, 1))

    given = Job(
        model=model, inputs=torch.zeros(1, 6), task=None, budget=ns.Budget(params=0.4), epochs=5, seed=0,
        fit=train, options={"every": 5},
    )  # fmt: skip
    rigl(given)
    shapes = {"0.weight": (20, 6), "2.weight": (3, 20)}
    expected = erdos_renyi_kernel(shapes, (int(0.4 * 203) - 23) / 180)
    assert all(int((model.get_parameter(name) != 0).sum()) <= count for name, count in expected.items())
    first = given.notes["rigl"]["density"]
    assert first == {name: expected[name] / model.get_parameter(name).numel() for name in shapes}
    assert {name: int(mask.sum()) for name, mask in asked["masks"].items()} == expected
    assert asked["epochs"] == 5
    assert asked["stage"] == "sparse"
