"""Costs counted from the graph against the real, cut model and against PyTorch's own counter."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import netsmith as ns
from netsmith.cost import Cost
from netsmith.edits import remove
from netsmith.errors import BudgetError, EditError

SHAPES = {"lenet-300-100": (1, 28, 28), "lenet5": (1, 28, 28), "small-cnn": (1, 8, 8)}


def build(name, width=0.5):
    torch.manual_seed(0)
    shape = SHAPES.get(name, (3, 32, 32))
    return ns.zoo.build(name, classes=10, input_shape=shape, width=width).eval(), torch.randn(1, *shape)


def flops(model, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ns.zoo.names("images"))
def test_macs_equal_half_of_pytorchs_flops(name):
    model, x = build(name)
    assert 2 * Cost(ns.trace(model, x)).total()["macs"] == flops(model, x)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["resnet20", "mobilenetv2", "vgg16-bn", "small-cnn"]), seed=st.integers(0, 1000))
def test_cost_under_keep_is_the_cost_of_the_cut_model(name, seed):
    model, x = build(name, 0.25)
    graph = ns.trace(model, x)
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for group in graph.groups:
        keep[group.name] = torch.rand(group.size, generator=generator) < 0.6
        keep[group.name][0] = True
    predicted = Cost(graph).total(keep)
    small, _ = remove(model, graph, keep)
    tensors = [*small.parameters(), *small.buffers()]
    assert 2 * predicted["macs"] == flops(small, x)
    assert predicted["params"] == sum(p.numel() for p in small.parameters())
    assert predicted["bytes"] == sum(t.numel() * t.element_size() for t in tensors)
    assert predicted == Cost(ns.trace(small, x)).total()


def test_layers_add_up_to_the_total():
    model, x = build("resnet20")
    cost = Cost(ns.trace(model, x))
    total, layers = cost.total(), cost.layers()
    for kind in ("macs", "params", "bytes"):
        assert sum(layer.get(kind, 0) for layer in layers) == total[kind]


def test_savings_are_what_one_channel_less_saves():
    model, x = build("small-cnn")
    graph = ns.trace(model, x)
    cost = Cost(graph)
    for group in graph.groups:
        keep = {group.name: torch.ones(group.size, dtype=torch.bool)}
        keep[group.name][3] = False
        saved = cost.total()["macs"] - cost.total(keep)["macs"]
        assert cost.savings()[group.name]["macs"] == saved > 0


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize(
    "amount", [{"macs": 0.3}, {"params": 0.2}, {"bytes": "20kB"}, {"macs": 0.5, "params": 0.3}]
)
def test_budget_is_met_and_missed_by_less_than_one_channel(amount, scope):
    model, x = build("small-cnn", 1.0)
    graph = ns.trace(model, x)
    budget = ns.Budget(**amount)
    now = Cost(graph).total()
    small = ns.shrink(model, x, budget=budget, scope=scope)
    after = Cost(ns.trace(small, x)).total()
    assert budget.holds(after, now)
    # one channel step back up, of the costliest group (local scope steps every group at once)
    steps = Cost(ns.trace(small, x)).savings()
    room = {kind: limit - after[kind] for kind, limit in budget.limits(now).items()}
    combine = max if scope == "global" else sum
    assert any(room[kind] < 1.1 * combine(step[kind] for step in steps.values()) for kind in room)


def test_unreachable_budget_says_what_can_be_reached():
    model, x = build("small-cnn")
    with pytest.raises(BudgetError, match=r"cannot be reached: it is .*, and the smallest cut has"):
        ns.shrink(model, x, budget=ns.Budget(macs=1e-6))


def test_round_to_keeps_multiples():
    model, x = build("small-cnn", 1.0)
    small = ns.shrink(model, x, budget=ns.Budget(macs=0.3), round_to=8)
    assert all(m.out_channels % 8 == 0 for m in small.modules() if isinstance(m, nn.Conv2d))


def test_protect_keeps_modules_whole():
    model, x = build("resnet20", 1.0)
    small = ns.shrink(model, x, ratio=0.5, protect=["*stages.0*"])
    for (name, before), (_, after) in zip(model.named_parameters(), small.named_parameters(), strict=True):
        if "stages.0" in name:
            assert before.shape == after.shape
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_scores_decide_which_channels_go():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.zeros(1, 3)
    (group,) = ns.trace(model, x).groups
    small = ns.shrink(model, x, ratio=0.5, score={group.name: torch.tensor([0.0, 9, 1, 8, 2, 7])})
    torch.testing.assert_close(small[0].weight, model[0].weight[[1, 3, 5]], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ({}, "no score"),
        ({"0.weight:0": torch.zeros(3)}, r"shape \(3,\)"),
        ({"0.weight:0": torch.full((6,), float("nan"))}, "NaN"),
    ],
)
def test_bad_scores_are_refused(score, message):
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(EditError, match=message):
        ns.shrink(model, torch.zeros(1, 3), ratio=0.5, score=score)


def test_nan_weights_are_refused_by_name():
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    with pytest.raises(EditError, match=r"2\.weight holds NaN"):
        ns.shrink(copy.deepcopy(model), torch.zeros(1, 3), ratio=0.5)


def macs(name, kind, classes, features, inputs, **options):
    torch.manual_seed(0)
    model = ns.zoo.build(name, classes=classes, input_shape=(features,), kind=kind, **options).eval()
    graph = ns.trace(model, inputs)
    kept = {group.name: torch.arange(group.size) < group.size // 2 for group in graph.groups}
    small, _ = remove(model, graph, kept)
    predicted = Cost(graph).total(kept)["macs"]
    assert predicted == Cost(ns.trace(small, inputs)).total()["macs"]
    return Cost(graph).total()["macs"], predicted


def test_every_time_step_counts():
    tokens, time, width = 50, 7, 16
    inputs = torch.zeros(2, time, dtype=torch.int64)

    def by_hand(width):
        gates = 3 * width * (width + width)
        return 2 * time * (2 * gates + width * tokens)

    counted = macs("gru", "tokens", tokens, time, inputs, width=width / 200)
    assert counted == (by_hand(width), by_hand(width // 2))


def test_attention_counts_its_products():
    tokens, time, width, heads = 50, 7, 32, 8
    inputs = torch.zeros(1, time, dtype=torch.int64)

    def by_hand(width, inner, hidden):
        projections, products, feed_forward = 4 * width * inner, 2 * time * inner, 2 * width * hidden
        return time * (4 * (projections + products + feed_forward) + width * tokens)

    counted = macs("bert-small", "tokens", tokens, time, inputs, width=width / 512)
    head = width // heads
    halved = by_hand(width // 2, (heads // 2) * (head // 2), 2 * width)
    assert counted == (by_hand(width, width, 4 * width), halved)


def test_messages_added_up_along_edges_count():
    nodes, features, classes = 12, 5, 3
    edges = torch.randint(nodes, (2, 40), generator=torch.Generator().manual_seed(0))
    edges = edges[:, edges[0] != edges[1]]
    x, count = torch.randn(nodes, features), edges.shape[1]

    def of_gcn(width):
        # Edges and self loops, added up twice per layer: messages, and ones to know a node's degree.
        paths = count + nodes
        return nodes * (features * width + width * classes) + paths * (width + classes + 2)

    assert macs("gcn", "nodes", classes, features, (x, edges)) == (of_gcn(16), of_gcn(8))

    def of_gin(width):
        # Two layers: neighbours and perceptron; then the nodes of each graph summed at three depths.
        layers = count * (features + width) + nodes * (features * width + 3 * width * width)
        return layers + nodes * (features + 2 * width) + 2 * classes * (features + 2 * width)

    graph = torch.arange(nodes) // 6
    found = macs("gin", "graphs", classes, features, (x, edges, graph), layers=2)
    assert found == (of_gin(32), of_gin(16))
