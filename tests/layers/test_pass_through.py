"""Pass-through and residual layers."""

import pytest
import torch

from netsmith.layers import PassThrough, Residual


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (0, "a"),
        (1, "b"),
        ("key", "c"),
        (None, None),
        ([0, None, ["key"]], ("a", None, ("c",))),
        ({"x": 1}, {"x": "b"}),
    ],
)
def test_form_of_what_comes_back(returns, expected):
    assert PassThrough(returns)("a", "b", key="c") == expected
    assert repr(PassThrough(returns)) == f"PassThrough(returns={returns!r})"


def test_residual_around_zero_is_the_identity():
    layer = torch.nn.Linear(3, 3)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    x = torch.randn(2, 3)
    assert torch.equal(Residual(layer)(x), x)
