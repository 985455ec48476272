from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.cutting.compensate import compensate, uncompensable
from netsmith.edits import remove
from netsmith.errors import EditError, NetsmithError


def gap(model: nn.Module, x: Tensor, keep: dict[str, Tensor], **options: Any) -> float:
    """Return by how much the smaller model's output differs on inputs the fold has not seen."""
    model.eval()
    graph = ns.trace(model, x)
    seen = copy.deepcopy(model.state_dict())
    ready = compensate(model, graph, keep, lambda m: m(x).sum(), **options)
    assert all(torch.equal(seen[name], value) for name, value in model.state_dict().items())
    small, _ = remove(ready, graph, keep)
    fresh = torch.randn(x.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(x.dtype)
    with torch.no_grad():
        torch.testing.assert_close(small(fresh), ready(fresh), atol=1e-5, rtol=1e-5)
        return float((small(fresh) - model(fresh)).abs().max())


def first(size: int, stay: int) -> Tensor:
    return torch.arange(size) < stay


def test_units_that_are_exact_combinations_go_without_a_trace() -> None:
    """8 of 20 units are combinations, after the ReLU, of the other 12: positive multiples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5)).double()
    with torch.no_grad():
        for unit in range(12, 20):
            factor = 0.5 + torch.rand(()).double()
            model[0].weight[unit] = factor * model[0].weight[unit - 12]
            model[0].bias[unit] = factor * model[0].bias[unit - 12]
    x = torch.randn(256, 10, dtype=torch.float64)
    keep = {"0.weight:0": first(20, 12)}
    assert gap(model, x, keep, ridge=0.0) < 1e-9
    with torch.no_grad():
        small, _ = remove(model, ns.trace(model, x), keep)
        assert float((small(x) - model(x)).abs().max()) > 0.1


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (2, "valid"), (1, "same")])
def test_duplicated_channels_of_convolutions_at_every_border(stride: int, padding: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 3, stride=stride, padding=padding), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4),
    )  # fmt: skip
    x = torch.randn(16, 3, 9, 9)
    model(x)
    with torch.no_grad():
        for one, of in ((5, 0), (6, 1), (7, 1)):
            model[0].weight[one] = model[0].weight[of]
            for tensor in (model[1].running_mean, model[1].running_var):
                tensor[one] = tensor[of]
            # Twice, and half, of another channel: a scale that batch normalisation makes.
            model[1].weight[one], model[1].bias[one] = 2.0 ** (6 - one), 0.0
            model[1].weight[of], model[1].bias[of] = 1.0, 0.0
    assert gap(model, x, {"0.weight:0": first(8, 5)}, ridge=0.0) < 1e-5


def test_a_constant_goes_into_the_bias_where_nothing_is_padded() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 3)
    )
    model = model.double()
    with torch.no_grad():
        model[0].weight[4], model[0].bias[4] = 0, 0.7
    x = torch.randn(16, 2, 9, 9, dtype=torch.float64)
    keep = {"0.weight:0": first(5, 4)}
    assert gap(model, x, keep, ridge=0.0) < 1e-12
    padded = copy.deepcopy(model)
    padded[2].padding, padded[4] = (1, 1), nn.Linear(64, 3).double()
    assert gap(padded, x, keep, ridge=0.0) > 1e-3
    bare = copy.deepcopy(model)
    bare[2].bias = None
    assert gap(bare, x, keep, ridge=0.0) > 1e-6


def test_channels_read_after_flattening_fold_block_by_block() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)).double()
    with torch.no_grad():
        model[0].weight[5], model[0].bias[5] = 1.5 * model[0].weight[2], 1.5 * model[0].bias[2]
        model[0].weight[4], model[0].bias[4] = 0, 0.3
    x = torch.randn(30, 2, 6, 6, dtype=torch.float64)
    assert gap(model, x, {"0.weight:0": first(6, 4)}, ridge=0.0) < 1e-9


def test_grouped_convolutions_fold_within_each_of_their_groups() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2), nn.Flatten(), nn.Linear(24, 3)
    ).double()
    with torch.no_grad():
        for half in (0, 4):
            model[0].weight[half + 3] = 0.5 * model[0].weight[half]
            model[0].bias[half + 3] = 0.5 * model[0].bias[half]
    x = torch.randn(30, 2, 6, 6, dtype=torch.float64)
    assert gap(model, x, {"0.weight:0#2": first(4, 3)}, ridge=0.0) < 1e-9


class Residual(nn.Module):
    """Both branches, and the readers of their sum, share their channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Linear(4, 6), nn.Linear(6, 6)
        self.left, self.right = nn.Linear(6, 3), nn.Linear(6, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.stem(x).relu()
        hidden = hidden + self.inner(hidden)
        return torch.cat([self.left(hidden.relu()), self.right(hidden)], dim=1)


def test_every_reader_of_a_residual_sum_takes_over() -> None:
    torch.manual_seed(0)
    model = Residual().double()
    with torch.no_grad():
        for layer in (model.stem, model.inner):
            layer.weight[5], layer.bias[5] = 2 * layer.weight[0], 2 * layer.bias[0]
    x = torch.randn(200, 4, dtype=torch.float64)
    assert [group.name for group in ns.trace(model, x).groups] == ["stem.weight:0"]
    assert gap(model, x, {"stem.weight:0": first(6, 5)}, ridge=0.0) < 1e-9


def test_an_imperfect_prediction_is_least_squares_and_ridge_makes_it_smaller() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 2)).double()
    x = torch.randn(500, 6, dtype=torch.float64)
    graph, keep = ns.trace(model, x), {"0.weight:0": first(9, 5)}
    ready = compensate(model, graph, keep, lambda m: m(x).sum(), ridge=0.0)
    z = model[1](model[0](x))[:, :5].detach()
    columns = torch.cat([z, torch.ones(500, 1, dtype=torch.float64)], 1)
    best = columns @ torch.linalg.lstsq(columns, model(x).detach()).solution
    torch.testing.assert_close(ready(x), best, atol=1e-9, rtol=1e-9)
    shrunken = compensate(model, graph, keep, lambda m: m(x).sum(), ridge=10.0)
    change = [float((one[2].weight - model[2].weight).detach()[:, :5].norm()) for one in (shrunken, ready)]
    assert change[0] < 0.5 * change[1]


def test_channels_that_stay_may_be_dead_or_equal() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = model[0].weight[0], model[0].bias[0]
        model[0].weight[2], model[0].bias[2] = 0, -1
        model[0].weight[5], model[0].bias[5] = model[0].weight[0], model[0].bias[0]
    assert gap(model, torch.randn(99, 4).double(), {"0.weight:0": first(6, 5)}, ridge=0.0) < 1e-9


class Refused(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
        self.norm, self.how = nn.LayerNorm(6), how
        self.raw = nn.Parameter(torch.randn(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        if self.how == "norm":
            hidden = self.norm(hidden)
        return self.last(hidden) + (hidden @ self.raw if self.how == "raw" else 0)


@pytest.mark.parametrize(
    ("how", "reason"), [("norm", "native_layer_norm in module norm reads it"), ("raw", "raw")]
)
def test_groups_with_other_readers_are_refused(how: str, reason: str) -> None:
    model, x = Refused(how), torch.randn(20, 4)
    graph = ns.trace(model, x)
    with pytest.raises(EditError, match=rf"first\.weight:0 cannot be compensated: .*{reason}"):
        compensate(model, graph, {"first.weight:0": first(6, 3)}, lambda m: m(x).sum())
    assert list(uncompensable(model, graph, lambda m: m(x).sum())) == ["first.weight:0"]


def test_mistakes() -> None:
    model, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(9, 4)
    graph, keep = ns.trace(model, x), {"0.weight:0": first(3, 2)}
    assert uncompensable(model, graph, lambda m: m(x).sum()) == {}
    with pytest.raises(NetsmithError, match="ridge=-1 must be at least 0"):
        compensate(model, graph, keep, lambda m: m(x).sum(), ridge=-1)
    with pytest.raises(EditError, match="removes all 3 channels"):
        compensate(model, graph, {"0.weight:0": first(3, 0)}, lambda m: m(x).sum())
    with pytest.raises(NetsmithError, match=r"what 2\.weight reads is not finite"):
        compensate(model, graph, keep, lambda m: m(x * torch.inf).sum())


def test_with_an_infinite_ridge_only_the_mean_goes_to_the_bias() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.randn(50, 4)
    keep = {"0.weight:0": torch.tensor([True, True, True, True, False, True])}
    folded = compensate(model, ns.trace(model, x), keep, lambda m: m(x).sum(), ridge=math.inf)
    expected = model[2].weight.detach().clone()
    mean = model[1](model[0](x))[:, 4].mean()
    torch.testing.assert_close(folded[2].bias, model[2].bias + expected[:, 4] * mean)
    expected[:, 4] = 0
    assert torch.equal(folded[2].weight, expected)
