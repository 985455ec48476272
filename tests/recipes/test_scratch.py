from __future__ import annotations

import torch
from torch import nn

import netsmith as ns
from netsmith.recipes import Job, scratch

X = torch.zeros(1, 1, 8, 8)


def network() -> nn.Module:
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3)
    layers = [first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)).eval()


def job_of(model, fit, seed=0):
    return Job(model=model, inputs=X, task=None, budget=ns.Budget(macs=0.5), epochs=7, seed=seed, fit=fit)


def test_every_group_keeps_the_same_share_and_nothing_of_what_was_learned():
    asked, begun = [], []

    def fit(model, **settings):
        asked.append(settings)
        begun.append({name: value.clone() for name, value in model.state_dict().items()})

    dense = network()
    dense[1].running_mean += 3.0
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.add_(100.0)
    small = scratch(job_of(dense, fit))
    assert asked == [{"epochs": 7, "learning_rate": None, "stage": "scratch"}]
    assert abs(small[0].out_channels / 8 - small[3].out_channels / 16) <= 1 / 8
    assert ns.profile(small, X).total["macs"] <= 0.5 * ns.profile(dense, X).total["macs"]
    # Weights of 100 and more were all there was to keep.
    assert all(float(value.abs().max()) <= 1.0 for value in begun[0].values())
    again = scratch(job_of(network(), fit))
    other = scratch(job_of(network(), fit, seed=1))
    assert all(torch.equal(begun[0][name], begun[1][name]) for name in begun[0])
    assert not torch.equal(again[0].weight, other[0].weight)
