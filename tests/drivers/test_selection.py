from __future__ import annotations

import pytest
from driver_models import network
from torch import nn

from netsmith.drivers.selection import assigned, selected
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.projections import L1Ball, L21Ball


def test_default_is_every_trainable_weight_and_no_vector() -> None:
    model = network()
    assert list(selected(model)) == ["0.weight", "3.weight"]
    model[0].weight.requires_grad_(False)
    assert list(selected(model)) == ["3.weight"]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("0", ["0.weight"]),
        ("*", ["0.weight", "3.weight"]),
        ("*.weight", ["0.weight", "3.weight"]),
        (["3", "0.weight"], ["0.weight", "3.weight"]),
        ("0.bias", ["0.bias"]),
        (lambda name, parameter: parameter.numel() == 3, ["3.bias"]),
    ],
)
def test_names_patterns_and_filters(select: object, expected: list[str]) -> None:
    assert list(selected(network(), select)) == expected


def test_a_module_name_takes_all_below_it() -> None:
    model = nn.ModuleDict({"features": network(), "head": nn.Linear(2, 2)})
    assert list(selected(model, "features")) == ["features.0.weight", "features.3.weight"]


def test_matching_nothing_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown parameter '0.wieght'; did you mean 0.weight"):
        selected(network(), ["0.weight", "0.wieght"])
    with pytest.raises(NetsmithError, match="no parameter of Sequential was selected"):
        selected(network(), lambda name, parameter: False)
    with pytest.raises(NetsmithError, match="no parameter of ReLU was selected"):
        selected(nn.ReLU())


def test_mapping_gives_each_its_own_and_the_first_match_holds() -> None:
    first, rest = L1Ball(1.0), L21Ball(2.0)
    got = assigned(network(), {"0": first, "*": rest})
    assert [(one.name, one.projection) for one in got] == [("0.weight", first), ("3.weight", rest)]
    with pytest.raises(NetsmithError, match="a mapping of projections and select"):
        assigned(network(), {"0": first}, select="0")
