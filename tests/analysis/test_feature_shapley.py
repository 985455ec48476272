from __future__ import annotations

import pytest
import torch
from torch import nn

from netsmith.analysis import feature_shapley
from netsmith.errors import NetsmithError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3))


def test_a_linear_model_owes_each_entry_its_weight_times_the_step_from_the_mean_background() -> None:
    torch.manual_seed(0)
    model, x, background = nn.Linear(5, 3), torch.randn(5), torch.randn(7, 5)
    expected = (model.weight * (x - background.mean(0))).T.double().detach()
    values, errors = feature_shapley(model, x, background, budget=100)
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-5)
    assert float(errors.max()) < 1e-6
    one = feature_shapley(model, x, background, target=2, budget=100)
    torch.testing.assert_close(one.values, expected[:, 2], atol=1e-6, rtol=1e-5)
    assert one.baseline is background


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_what_is_explained_adds_up_and_the_model_is_left_as_found(output: str) -> None:
    model, x, background = network().train(), torch.randn(6), torch.randn(4, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    values, _ = feature_shapley(model, x, background, output=output, method="exact")  # type: ignore[arg-type]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        there, absent = model(x[None]), model(background)
        if output == "probability":
            there, absent = there.softmax(-1), absent.softmax(-1)
    torch.testing.assert_close(values.sum(0), (there[0] - absent.mean(0)).double(), atol=1e-5, rtol=1e-5)


def test_patches_are_players() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    x, background = torch.randn(1, 4, 4), torch.zeros(1, 4, 4)
    patches = torch.arange(4).reshape(2, 2).repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    found = feature_shapley(model, x, background, target=0, players=patches, budget=100)
    entries = feature_shapley(model, x, background, target=0, budget=100).values
    assert found.values.shape == (4,)
    assert entries.shape == x.shape
    expected = torch.stack([entries[patches == one].sum() for one in range(4)])
    torch.testing.assert_close(found.values, expected, atol=1e-6, rtol=1e-5)


def test_mistakes() -> None:
    model, x = network(), torch.zeros(6)
    with pytest.raises(NetsmithError, match=r"the background has shape \(5,\); expected \(6,\)"):
        feature_shapley(model, x, torch.zeros(5))
    with pytest.raises(NetsmithError, match="target=3 is no class of a model with 3 outputs"):
        feature_shapley(model, x, torch.zeros(6), target=3)
    with pytest.raises(NetsmithError, match="all numbers from 0 to n - 1"):
        feature_shapley(model, x, torch.zeros(6), players=torch.tensor([0, 1, 2, 4, 4, 4]))
    with pytest.raises(NetsmithError, match="output='odds' is not known"):
        feature_shapley(model, x, torch.zeros(6), output="odds")  # type: ignore[arg-type]
    with pytest.raises(NetsmithError, match=r"the model returned shape \(\w+, 1, 2\)"):
        feature_shapley(nn.Unflatten(1, (1, 2)), torch.zeros(2), torch.zeros(2))
