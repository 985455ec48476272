"""What ``ns.diff`` sees: every change of structure, no change of values."""

import copy
import json

import torch
from torch import nn

import netsmith as ns


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))


def test_values_are_no_difference():
    model, other = make(), make()
    nn.init.zeros_(other[0].weight)
    found = ns.diff(model, other.train(False))
    assert not found
    assert str(found) == "no difference in structure, parameters 532 -> 532"


def test_a_cut_is_told_module_by_module():
    model = make()
    small = ns.shrink(model, torch.zeros(1, 3, 8, 8), ratio=0.5)
    found = ns.diff(model, small)
    first, norm, last = found.modules
    assert first.shapes == {"weight": ((8, 3, 3, 3), (4, 3, 3, 3)), "bias": ((8,), (4,))}
    assert first.attributes == {"out_channels": (8, 4)}
    assert norm.shapes["running_var"] == ((8,), (4,))
    assert last.attributes == {"in_channels": (8, 4)}
    assert found.parameters == (532, 4 * 27 + 4 + 8 + 4 * 36 + 4)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["modules"][0]["path"] == "0"
    assert plain["parameters"] == [532, 268]
    assert "0       out_channels  8             4" in str(found)


def test_added_removed_and_replaced_modules():
    model = make()
    other = copy.deepcopy(model)
    other[2] = nn.GELU()
    other.append(nn.Conv2d(4, 4, 1))
    found = {one.path: one for one in ns.diff(model, other).modules}
    assert found["2"].classes == ("ReLU", "GELU")
    assert found["4"].classes == (None, "Conv2d")
    assert found["4"].shapes["weight"] == (None, (4, 4, 1, 1))
    assert {one.path: one for one in ns.diff(other, model).modules}["4"].classes == ("Conv2d", None)
    assert ["4", "class", "-", "Conv2d"] in [line.split() for line in str(ns.diff(model, other)).splitlines()]
