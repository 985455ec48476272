"""The profile: numbers, table, units."""

import pytest
import torch

import netsmith as ns
from netsmith.cost.profile import amount


def test_numbers_by_hand():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.Flatten(), torch.nn.Linear(8 * 4, 5)
    )
    profile = ns.profile(model, torch.zeros(2, 3, 4, 4))
    conv, linear = profile.layers
    assert (conv["name"], conv["macs"], conv["params"], conv["bytes"]) == ("0", 2 * 4 * 9 * 24, 216, 864)
    assert (linear["macs"], linear["params"]) == (2 * 32 * 5, 165)
    assert profile.total["macs"] == conv["macs"] + linear["macs"]
    assert profile.total["energy"] > 0


def test_table_names_layers_and_total():
    text = str(
        ns.profile(ns.zoo.build("lenet5", classes=10, input_shape=(1, 28, 28)), torch.zeros(1, 1, 28, 28))
    )
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["layer", "kind"]
    assert lines[-1].split()[:2] == ["total", "431"]
    assert len({len(line) for line in (lines[1], lines[-2])}) == 1


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1.81e9, "macs", "1.81 G"),
        (200e3, "bytes", "200 kB"),
        (0.0052, "latency", "5.2 ms"),
        (7.0, "params", "7"),
        (3.1e-3, "energy", "3.1 mJ"),
        (0.0, "latency", "0 s"),
    ],
)
def test_amounts_are_readable(value, kind, text):
    assert amount(value, kind) == text
