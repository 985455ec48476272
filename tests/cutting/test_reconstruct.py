from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import netsmith as ns
from netsmith.cutting.reconstruct import reconstruct_
from netsmith.edits import remove
from netsmith.errors import EditError, NetsmithError


def first(size: int, stay: int) -> Tensor:
    return torch.arange(size) < stay


def cut(model: nn.Module, x: Tensor, share: float = 0.5) -> nn.Module:
    """Return the model with the first channels of every group."""
    graph = ns.trace(model.eval(), x)
    keep = {group.name: first(group.size, max(1, round(group.size * share))) for group in graph.groups}
    return remove(model, graph, keep)[0].eval()


def on(x: Tensor) -> Any:
    return lambda model: model(x).square().sum()


def test_units_that_are_combinations_of_the_others_come_back_exactly() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5)).double()
    with torch.no_grad():
        for unit in range(10, 20):
            model[0].weight[unit] = 1.5 * model[0].weight[unit - 10]
            model[0].bias[unit] = 1.5 * model[0].bias[unit - 10]
    x, fresh = torch.randn(2, 256, 10, dtype=torch.float64)
    small = cut(model, x)
    with torch.no_grad():
        assert float((small(fresh) - model(fresh)).abs().max()) > 0.1
        assert reconstruct_(small, model, on(x), ridge=0.0) == ["0.weight", "2.weight"]
        assert float((small(fresh) - model(fresh)).abs().max()) < 1e-9


@pytest.mark.parametrize(
    "settings",
    [{}, {"padding": 1}, {"stride": 2, "padding": 2, "dilation": 2}, {"padding": "same"}, {"bias": False}],
)
def test_a_convolution_gets_the_least_squares_solution_over_its_windows(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 1), nn.Tanh(), nn.Conv2d(6, 3, 3, **settings)).double()
    x = torch.randn(4, 2, 9, 9, dtype=torch.float64)
    small = cut(model, x)
    reconstruct_(small, model, on(x), ridge=0.0)
    with torch.no_grad():
        read, wanted = small[:2](x), model(x).flatten(2).movedim(1, -1).flatten(0, 1)
        where = {key: value for key, value in settings.items() if key in ("stride", "dilation")}
        padding = {"same": 1}.get(settings.get("padding", 0), settings.get("padding", 0))
        windows = F.unfold(read, 3, padding=padding, **where).movedim(1, -1).flatten(0, 1)
        if settings.get("bias", True):
            windows = torch.cat([windows, torch.ones(len(windows), 1).double()], 1)
        best = windows @ torch.linalg.pinv(windows) @ wanted
        got = small(x).flatten(2).movedim(1, -1).flatten(0, 1)
    torch.testing.assert_close(got, best, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv1d, (8, 3, 12)), (nn.Conv3d, (4, 3, 5, 4, 6))])
def test_convolutions_of_other_dimensions(layer: Any, shape: tuple[int, ...]) -> None:
    """Half of the channels are copies, so that a perfect fit exists."""
    torch.manual_seed(0)
    model = nn.Sequential(layer(3, 8, 1), nn.ReLU(), layer(8, 4, 3, padding=1)).double()
    with torch.no_grad():
        model[0].weight[4:], model[0].bias[4:] = model[0].weight[:4], model[0].bias[:4]
        x = torch.randn(shape, dtype=torch.float64)
        small = cut(model, x, share=0.5)
        reconstruct_(small, model, on(x), ridge=0.0)
        assert small[0].out_channels == 4
        torch.testing.assert_close(small(x), model(x), atol=1e-6, rtol=0)


@given(seed=st.integers(0, 1000), ridge=st.sampled_from([0.0, 1e-3, 1.0]), share=st.floats(0.2, 0.9))
@settings(max_examples=25, deadline=None)
def test_the_error_of_the_only_cut_layer_never_grows(seed: int, ridge: float, share: float) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 4)).double()
    x = torch.randn(64, 6, dtype=torch.float64)
    small = cut(model, x, share)
    with torch.no_grad():
        before = float((small(x) - model(x)).square().sum())
        reconstruct_(small, model, on(x), ridge=ridge)
        assert float((small(x) - model(x)).square().sum()) <= before * (1 + 1e-9) + 1e-12


def test_a_residual_network_comes_nearer_and_the_whole_one_stays_as_it_was() -> None:
    torch.manual_seed(0)
    model = ns.zoo.build("resnet20", classes=10, input_shape=(3, 16, 16)).eval()
    x = torch.randn(64, 3, 16, 16)
    model.train()
    with torch.no_grad():
        for _ in range(30):
            model(x)
    model.eval()
    state = copy.deepcopy(model.state_dict())
    small = cut(model, x)
    norms = {name: value.clone() for name, value in small.state_dict().items() if "running" in name}
    with torch.no_grad():
        before = float((small(x) - model(x)).square().mean())
        done = reconstruct_(small, model, on(x))
        after = float((small(x) - model(x)).square().mean())
    assert after < 0.5 * before
    plain = [name for name, module in small.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert {f"{name}.weight" for name in plain} == {*done}
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in norms.items())


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared = nn.Linear(4, 8), nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.shared(self.shared(self.first(x)).relu()))


def test_a_weight_that_is_used_twice_and_a_grouped_convolution_keep_their_values() -> None:
    torch.manual_seed(0)
    x = torch.randn(32, 4)
    model = Twice()
    small = cut(model, x)
    shared = small.shared.weight.detach().clone()
    assert reconstruct_(small, model, on(x)) == ["first.weight", "last.weight"]
    assert torch.equal(small.shared.weight, shared)
    depthwise = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1))
    images = torch.randn(8, 3, 6, 6)
    assert reconstruct_(cut(depthwise, images), depthwise, on(images)) == ["0.weight", "2.weight"]


class Tied(nn.Module):
    """Words go in and out by one weight; two layers share a bias; one weight is added to an output, too."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 6)
        self.second.bias = self.first.bias
        self.shown, self.out = nn.Linear(6, 6, bias=False), nn.Linear(6, 11, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.third(self.second(self.first(self.words(x)).relu()).relu())
        return self.out(self.shown(hidden) + self.shown.weight.sum())


def test_what_is_used_otherwise_too_keeps_its_values() -> None:
    torch.manual_seed(0)
    model = Tied().eval()
    x = torch.randint(11, (40, 3))
    graph = ns.trace(model, x)
    group = next(
        g for g in graph.groups if any(one.tensor == "third.weight" for one in g.slices if one.role == "in")
    )
    small = remove(model, graph, {group.name: first(group.size, 4)})[0].eval()
    before = copy.deepcopy(small.state_dict())
    assert reconstruct_(small, model, on(x)) == ["third.weight"]
    changed = {name for name, value in small.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"third.weight", "third.bias"}


class Across(nn.Module):
    """Mixes positions once for each channel, so that the channels are rows of two of its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.mix = nn.Embedding(9, 4), nn.Linear(6, 16)
        self.unmix, self.head = nn.Linear(16, 6), nn.Linear(4, 9)

    def forward(self, x: Tensor) -> Tensor:
        across = self.embedding(x).transpose(1, 2)
        return self.head(self.unmix(self.mix(across).relu()).transpose(1, 2))


def test_layers_whose_rows_are_channels_that_went_keep_their_values() -> None:
    torch.manual_seed(0)
    model = Across()
    x = torch.randint(9, (50, 6))
    small = cut(model, x)
    assert small.embedding.embedding_dim == 2
    assert reconstruct_(small, model, on(x)) == ["head.weight"]


def test_drawn_rows_come_from_the_seed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(500, 4)

    def fitted(**options: Any) -> Tensor:
        small = cut(model, x)
        reconstruct_(small, model, on(x), **options)
        return small[2].weight.detach()

    assert torch.equal(fitted(rows=50, seed=3), fitted(rows=50, seed=3))
    assert not torch.equal(fitted(rows=50, seed=3), fitted(rows=50, seed=4))
    assert torch.equal(fitted(seed=3), fitted(seed=4))


def test_bad_input_says_what_to_do_and_changes_nothing() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(16, 4)
    small = cut(model, x)
    state = copy.deepcopy(small.state_dict())
    with pytest.raises(NetsmithError, match="ridge=-1"):
        reconstruct_(small, model, on(x), ridge=-1)
    with pytest.raises(NetsmithError, match="needs data and got no loss"):
        reconstruct_(small, model, None)
    with pytest.raises(EditError, match="records do not start with"):
        reconstruct_(model, small, on(x))
    stranger = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with pytest.raises(EditError, match="has 5 outputs and its records leave 8"):
        reconstruct_(stranger, model, on(x))
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in state.items())
