"""Splitting and widening leave the function as it is, in every structure, or say where they cannot."""

import copy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))

from random_networks import networks
from small_networks import NETWORKS

import netsmith as ns
from netsmith.cutting.verify import relative_difference
from netsmith.edits import replay, split, widen
from netsmith.errors import EditError, NetsmithError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def output(model, inputs):
    with torch.no_grad():
        return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def difference(edited, model, inputs):
    return relative_difference(output(edited, inputs), output(model, inputs))


def perceptron(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3)).to(dtype)


X = torch.randn(5, 4, generator=seeded(0), dtype=torch.float64)


def test_values_by_hand():
    model = perceptron()
    wider, _ = split(
        model, ns.trace(model, X), {"0.weight:0": {1: 3, 4: 2}}, shares={"0.weight:0": {4: (0.25, 0.75)}}
    )
    source = [0, 1, 1, 1, 2, 3, 4, 4, 5]
    factor = torch.tensor([1, 1 / 3, 1 / 3, 1 / 3, 1, 1, 0.25, 0.75, 1], dtype=torch.float64)
    assert torch.equal(wider[0].weight, model[0].weight[source])
    assert torch.equal(wider[0].bias, model[0].bias[source])
    torch.testing.assert_close(wider[2].weight, model[2].weight[:, source] * factor, rtol=0, atol=0)
    assert (wider[0].out_features, wider[2].in_features) == (9, 9)


def test_offsets_are_added_to_the_copies():
    model = perceptron()
    offsets = torch.randn(2, 6, 4, generator=seeded(1), dtype=torch.float64)
    wider, _ = split(model, ns.trace(model, X), {"0.weight:0": [3]}, offsets={"0.weight": offsets})
    expected = model[0].weight[[0, 1, 2, 3, 3, 4, 5]].detach().clone()
    expected[3] += offsets[0, 3]
    expected[4] += offsets[1, 3]
    assert torch.equal(wider[0].weight, expected)


# What cannot be split one by one; everything else must be exact.
BOUND = {
    ("attention", "embed.weight:0"): "norm, native_layer_norm",
    ("attention-fused", "embed.weight:0"): "norm, native_layer_norm",
    ("attention-grouped", "embed.weight:0"): "norm, native_layer_norm",
    ("encoder", "self_attn.in_proj_weight:0"): "self_attn, bmm",
    ("tied-language-model", "mix.weight:0"): "embed, embed.weight reads",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_group_of_every_family_is_exact_or_named(name):
    torch.manual_seed(0)
    constructor, inputs = NETWORKS[name]
    model = constructor().double().eval()
    graph = ns.trace(model, inputs)
    for group in graph.groups:
        for edit, change in (
            (split, {group.name: {0: 2, group.size - 1: 3}}),
            (widen, {group.name: group.size + 3}),
        ):
            if (name, group.name) in BOUND:
                with pytest.raises(EditError, match=BOUND[name, group.name]):
                    edit(model, graph, change)
                continue
            edited, records = edit(model, graph, change)
            assert difference(edited, model, inputs) <= 1e-12
            again = replay(model, records)
            assert torch.equal(output(again, inputs), output(edited, inputs))
            again_found = {g.name: g.size for g in ns.trace(edited, inputs).groups}
            assert again_found[group.name] == group.size + 3


@pytest.mark.parametrize("name", ["attention", "attention-fused", "attention-grouped"])
def test_all_channels_alike_pass_a_layer_norm(name):
    torch.manual_seed(0)
    constructor, inputs = NETWORKS[name]
    model = constructor().double().eval()
    graph = ns.trace(model, inputs)
    group = graph.group("embed.weight:0")
    edited, _ = split(model, graph, {group.name: range(group.size)})
    assert difference(edited, model, inputs) <= 1e-12


def test_all_groups_at_once():
    torch.manual_seed(0)
    constructor, inputs = NETWORKS["attention"]
    model = constructor().double().eval()
    graph = ns.trace(model, inputs)
    change = {g.name: range(g.size) if g.name == "embed.weight:0" else [0, 0, 1] for g in graph.groups}
    edited, _ = split(model, graph, change)
    assert difference(edited, model, inputs) <= 1e-12


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(model=networks, seed=st.integers(0, 2**16), training=st.booleans())
def test_random_networks_are_exact_or_refused(model, seed, training):
    model = model.double().train(training)
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=seeded(seed))
    graph = ns.trace(model, x)
    random = seeded(seed)
    for group in graph.groups:
        chosen = torch.randint(group.size, (3,), generator=random).tolist()
        size = group.size + 2
        for edit, change in ((split, chosen), (split, range(group.size)), (widen, size)):
            try:
                edited, _ = edit(model, graph, {group.name: change})
            except EditError:
                continue
            assert difference(edited, model, x) <= 1e-10, (group, change)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "vgg16-bn", "mobilenetv2"])
def test_single_precision_within_a_millionth_or_the_models_own_rounding(name):
    torch.manual_seed(0)
    shape = (1, 28, 28) if name == "lenet5" else (3, 32, 32)
    model = ns.zoo.build(name, classes=10, input_shape=shape, width=0.5).eval()
    x = torch.randn(2, *shape, generator=seeded(0))
    graph = ns.trace(model, x)
    edited, _ = split(model, graph, {g.name: {0: 2, 2: 3} for g in graph.groups})
    rounding = relative_difference(
        output(model, x), output(copy.deepcopy(model).double(), x.double()).float()
    )
    assert difference(edited, model, x) <= max(1e-6, 2 * rounding)


class Special(nn.Module):
    """One hidden layer whose channels meet in a way that sees how many there are."""

    def __init__(self, meet):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.rand(6))
        self.meet = meet

    def forward(self, x):
        a = self.first(x)
        return self.last(F.silu(a)) + self.meet(self, x, a)


REFUSED = {
    "square": (lambda m, x, a: (a * a).sum(-1, keepdim=True), "sum there sees"),
    "norm": (lambda m, x, a: a.norm(dim=-1, keepdim=True), "linalg_vector_norm there sees"),
    "product": (lambda m, x, a: a @ a.tanh().t(), "mm there sees"),
    "log-sum-exp": (lambda m, x, a: a.logsumexp(-1, keepdim=True), "there sees"),
    "sum-behind-a-sigmoid": (lambda m, x, a: a.sigmoid().sum(-1, keepdim=True), "sum there sees"),
    "weights-on-their-own": (lambda m, x, a: a @ F.normalize(m.last.weight, dim=0).t(), "last.weight reads"),
}
KEPT = {
    "largest": lambda m, x, a: a.amax(-1, keepdim=True),
    "queries-and-keys": lambda m, x, a: (m.second(x) * 0.5) @ a.tanh().t(),
    "weighted-sum": lambda m, x, a: (m.scale * a.tanh()).sum(-1, keepdim=True),
    "sum-of-a-product": lambda m, x, a: (m.second(x) * a.tanh()).sum(-1, keepdim=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_sees_the_number_of_copies_is_refused_by_name(name):
    meet, message = REFUSED[name]
    model = Special(meet).double()
    x = X[:3]
    graph = ns.trace(model, x)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for inplace in (False, True):
        with pytest.raises(EditError, match=message):
            split(model, graph, {graph.groups[0].name: [1]}, inplace=inplace)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", KEPT)
def test_sums_that_one_factor_can_make_up_for_are_exact(name):
    model = Special(KEPT[name]).double()
    x = X[:3]
    graph = ns.trace(model, x)
    edited, _ = split(model, graph, {graph.groups[0].name: {1: 3}})
    assert difference(edited, model, x) <= 1e-12


def test_fresh_channels_are_seen_by_an_extremum():
    model = Special(KEPT["largest"]).double()
    graph = ns.trace(model, X[:3])
    with pytest.raises(EditError, match="amax there sees"):
        widen(model, graph, {graph.groups[0].name: 9})


def test_widened_channels_learn():
    model = perceptron()
    wider, records = widen(model, ns.trace(model, X), {"0.weight:0": 9}, generator=seeded(3))
    index = torch.tensor(records[0]["tensors"]["0.weight"]["0"])
    fresh = torch.cat([torch.zeros(1, dtype=torch.bool), index[1:] == index[:-1]])
    assert int(fresh.sum()) == 3
    optimizer = torch.optim.SGD(wider.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        wider(X).square().mean().backward()
        assert wider[2].weight.grad[:, fresh].abs().sum() > 0
        assert (wider[0].weight.grad[fresh].abs().sum() > 0) == (step > 0)
        optimizer.step()
    assert len(wider[0].weight[fresh].unique(dim=0)) == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"nobody:0": [0]}, {}, "unknown group"),
        ({"0.weight:0": [6]}, {}, "no channel 6; it has 0 to 5"),
        ({"0.weight:0": {-1: 2}}, {}, "no channel -1"),
        ({"0.weight:0": {0: 0}}, {}, "cannot become 0 channels"),
        (
            {"0.weight:0": {0: 2}},
            {"shares": {"0.weight:0": {0: [0.5, 0.6]}}},
            "sum to 1.1; they must sum to 1",
        ),
        ({"0.weight:0": {0: 2}}, {"shares": {"0.weight:0": {0: [1.0]}}}, "1 given for 2 copies"),
        ({"0.weight:0": {0: 2}}, {"shares": {"0.weight:0": {1: [0.5, 0.5]}}}, "2 given for 1 copies"),
        ({"0.weight:0": {0: 2}}, {"offsets": {"2.weight": torch.zeros(2, 3, 6)}}, "makes no channel"),
        ({"0.weight:0": {0: 2}}, {"offsets": {"0.weight": torch.zeros(6, 4)}}, r"expected \(2, 6, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, options, message):
    model = perceptron()
    with pytest.raises(NetsmithError, match=message):
        split(model, ns.trace(model, X), change, **options)
    assert model[0].out_features == 6


@pytest.mark.parametrize("size", [5, 6.5, True])
def test_a_size_that_does_not_widen_is_refused(size):
    model = perceptron()
    with pytest.raises(EditError, match="cannot be widened"):
        widen(model, ns.trace(model, X), {"0.weight:0": size})


def test_a_split_model_exports(tmp_path):
    torch.manual_seed(0)
    model = ns.zoo.build("small-cnn", classes=10, input_shape=(1, 8, 8), width=0.25).eval()
    x = torch.randn(2, 1, 8, 8)
    graph = ns.trace(model, x)
    wider, _ = split(model, graph, {graph.groups[0].name: range(graph.groups[0].size)})
    assert ns.export(wider, x, tmp_path / "wider.onnx").path.exists()
    assert difference(wider, model, x) <= 1e-6
