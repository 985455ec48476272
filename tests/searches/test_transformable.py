from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from search_models import DEEP, EXACT, X, leaking, residual, shaken
from torch import nn

import netsmith as ns
from netsmith.errors import BudgetError, EditError, NetsmithError
from netsmith.searches import Architecture, TransformableSearch


def search_of(name: str = "grouped", **settings) -> tuple[nn.Module, TransformableSearch]:
    torch.manual_seed(0)
    model = shaken(EXACT[name]())
    settings = {"budget": ns.Budget(macs=0.5), "depth": name in DEEP} | settings
    return model, TransformableSearch(model, X, **settings)


def scatter_(search: TransformableSearch, seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for logits in search.structure():
            logits.copy_(torch.randn(logits.shape, generator=noise))


@pytest.mark.parametrize("name", EXACT)
def test_network_built_is_the_one_that_was_searched(name):
    model, search = search_of(name)
    before = copy.deepcopy(model.state_dict())
    fixed = {"0.weight:0": "two widths size one dimension together"} if name == "grouped" else {}
    assert search.space.fixed == fixed
    assert bool(search.depths) == (name in DEEP)
    for seed in range(3):
        scatter_(search, seed)
        architecture = search.architecture(within_budget=False)
        small = search.build(architecture)
        with torch.no_grad():
            torch.testing.assert_close(search.eval()(X), small(X), rtol=1e-4, atol=1e-5)
        assert ns.profile(small, X).total["macs"] == architecture.cost["macs"]
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", EXACT)
def test_gradients_reach_every_choice_and_the_weights(name):
    _, search = search_of(name)
    torch.manual_seed(0)
    F.cross_entropy(search.train()(X), torch.tensor([0, 1])).backward()
    assert all(float(logits.grad.abs().sum()) > 0 for logits in search.structure())
    assert sum(p.grad is not None for p in search.network.parameters()) > len(search.widths)


def test_all_widths_at_equal_weights_are_the_mean_of_interpolated_maps():
    model = shaken(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)))
    search = TransformableSearch(
        model, X, budget=ns.Budget(macs=0.9), depth=False, ratios=[0.25, 0.5, 1.0], samples=3
    )
    for logits in search.structure():
        nn.init.zeros_(logits)
    search.temperature.fill_(1e6)
    made = model[0](X)
    mean = sum(ns.searches.interpolate_channels(made[:, :width], 4) for width in (1, 2, 4)) / 3
    torch.testing.assert_close(search.train()(X), model[1](mean), rtol=1e-4, atol=1e-4)


def test_two_drawn_widths_are_mixed_at_the_wider_one_and_the_rest_is_zero():
    model = shaken(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)))
    search = TransformableSearch(model, X, budget=ns.Budget(macs=0.9), depth=False, ratios=[0.25, 0.5])
    (choice,) = search._choices.values()
    assert choice.widths == (2, 4, 8)
    made = model[0](X)
    choice.set([0, 1], torch.tensor([0.3, 0.7]))
    mixed = 0.3 * ns.searches.interpolate_channels(made[:, :2], 4) + 0.7 * made[:, :4]
    expected = F.conv2d(mixed, model[1].weight[:, :4], model[1].bias)
    torch.testing.assert_close(search.network(X), expected)


def test_as_the_temperature_falls_a_certain_choice_is_what_the_most_probable_network_gives():
    _, search = search_of("depthwise", samples=1)
    for logits in search.widths:
        nn.init.constant_(logits, 0.0)
        logits.data[1] = 60.0
    search.anneal(1.0, last=0.01)
    settled = search.eval()(X)
    for norm in search.network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    search.training = True
    torch.testing.assert_close(search(X), settled)


def test_each_width_has_statistics_of_its_own():
    _, search = search_of("depthwise", samples=1)
    norms = search.network.norm1
    places = search._choices["expand.weight:0"].widths
    before = [norms.of(0, place).running_mean.clone() for place in range(len(places))]
    torch.manual_seed(0)
    search.train()(X)
    (drawn,) = search._choices["expand.weight:0"].drawn
    changed = [
        not torch.equal(norms.of(0, place).running_mean, before[place]) for place in range(len(places))
    ]
    assert changed == [place == drawn for place in range(len(places))]
    assert [len(one) for one in before] == list(places)


def test_a_coupled_group_draws_one_width_for_all_that_makes_it():
    _, search = search_of("residual")
    stream = search.space.sizes.widths["conv.weight:0"]
    assert stream == (2, 3, 4, 5, 6, 7, 8)
    assert search.space.sizes.depths == [(1, 3), (0, 2), (0, 2)]
    seen = []
    hooks = [
        search.network.get_submodule(path).register_forward_hook(
            lambda module, given, output: seen.append(output.abs().amax((0, 2, 3)) > 0)
        )
        for path in ("norm", "stage1.0.norm2", "stage1.1.norm2")
    ]
    search.train()(X)
    for hook in hooks:
        hook.remove()
    widest = search._choices["conv.weight:0"].widest
    for alive in seen:
        assert not alive[widest:].any()


def test_widths_that_zeros_cannot_stand_in_for_stay_and_say_why():
    search = TransformableSearch(shaken(leaking()), X, budget=ns.Budget(macs=0.8), depth=False)
    assert list(search.space.sizes.widths) == ["2.weight:0"]
    assert "is not zero" in search.space.fixed["0.weight:0"]
    small = search.build()
    assert small[0].out_channels == 8
    torch.testing.assert_close(search.eval()(X).shape, small(X).shape)


def test_widths_that_no_output_of_a_module_shows_stay():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.middle, self.head = nn.GRU(8, 6), nn.Linear(6, 10), nn.Linear(10, 4)
            self.scale = nn.Parameter(torch.ones(10))

        def forward(self, x):
            return self.head(F.relu(self.middle(self.cells(x)[0])))

    search = TransformableSearch(Recurrent(), torch.randn(5, 2, 8), budget=ns.Budget(macs=0.9), depth=False)
    assert list(search.space.sizes.widths) == ["middle.weight:0"]
    assert set(search.space.fixed.values()) == {"what makes its channels is no module's output"}
    assert search.train()(torch.randn(5, 2, 8)).shape == (5, 2, 4)


def test_an_order_says_which_channels_stay():
    model = shaken(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    order = {"0.weight:0": torch.tensor([2, 0, 3, 1])}
    search = TransformableSearch(
        model, X, budget=ns.Budget(macs=0.5), depth=False, ratios=[0.5], samples=1, order=order
    )
    small = search.build()
    assert torch.equal(small[0].weight, model[0].weight[[0, 2]])
    with pytest.raises(NetsmithError, match="is no order of its 4 channels"):
        TransformableSearch(
            model, X, budget=ns.Budget(macs=0.5), depth=False, order={"0.weight:0": torch.zeros(4)}
        )


def test_what_is_read_out_keeps_the_budget():
    model, search = search_of("residual", budget=ns.Budget(macs=0.4, params=0.6))
    dense = ns.profile(model, X).total
    for seed in range(2):
        scatter_(search, seed)
        built = ns.profile(search.build(), X).total
        assert built["macs"] <= 0.4 * dense["macs"]
        assert built["params"] <= 0.6 * dense["params"]


def test_cost_loss_takes_its_branch_from_the_most_probable_network():
    _, search = search_of("grouped")
    for logits in search.widths:
        nn.init.zeros_(logits)
        logits.data[-1] = 0.01
    expected = search.expected_cost()["macs"]
    assert float(search.cost_loss().detach()) == pytest.approx(float(expected.detach().log()))
    for logits in search.widths:
        logits.data[-1], logits.data[0] = 0.0, 0.01
    expected = search.expected_cost()["macs"].detach()
    assert float(search.cost_loss().detach()) == pytest.approx(-float(expected.log()))


def test_widths_are_multiples_of_what_is_asked():
    _, search = search_of("residual", round_to=4)
    for name, options in search.space.sizes.widths.items():
        assert all(width % 4 == 0 or width == search.graph.group(name).size for width in options)


def test_state_comes_back():
    _, search = search_of("depthwise")
    _, other = search_of("depthwise")
    scatter_(search, 5)
    search.anneal(0.3)
    torch.manual_seed(0)
    search.train()(X)
    other.load_state_dict(search.state_dict())
    assert other.architecture() == search.architecture()
    outputs = []
    for one in (search, copy.deepcopy(search), other):
        torch.manual_seed(1)
        outputs.append(one.train()(X))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_mistakes():
    model = residual()
    for budget, match in [
        (ns.Budget(macs=0.01), "smallest network of this search"),
        (ns.Budget(latency="5ms"), "budget latency: the expected cost is known of macs, params, bytes"),
    ]:
        with pytest.raises(BudgetError, match=match):
            TransformableSearch(model, X, budget=budget)
    budget = ns.Budget(macs=0.5)
    for settings, match in [
        ({"samples": 0}, "samples=0: expected 1 to 7"),
        ({"samples": 8}, "samples=8: expected 1 to 7"),
        ({"ratios": [0.0, 1.0]}, r"ratios=\[0.0, 1.0\]"),
        ({"ratios": []}, "expected shares above 0 up to 1"),
        ({"round_to": 0}, "round_to=0"),
    ]:
        with pytest.raises(NetsmithError, match=match):
            TransformableSearch(model, X, budget=budget, **settings)
    with pytest.raises(EditError, match="no stage of two residual blocks"):
        TransformableSearch(EXACT["grouped"](), X, budget=budget)
    norm_only = nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    with pytest.raises(EditError, match="no width of Sequential can be searched: what passes"):
        TransformableSearch(norm_only, X, budget=budget, depth=False)
    with pytest.raises(EditError, match="on the meta device, without values"):
        TransformableSearch(residual().to("meta"), X.to("meta"), budget=budget)
    _, search = search_of("grouped")
    one = search.architecture()
    with pytest.raises(EditError, match="widths of another search"):
        search.build(Architecture({}, {}, {}))
    with pytest.raises(EditError, match=r"width 1000 of .* is not among"):
        search.build(Architecture(dict.fromkeys(one.widths, 1000), {}, {}))
