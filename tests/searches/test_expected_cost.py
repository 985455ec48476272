from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import EditError
from netsmith.searches import ExpectedCost, Sizes
from netsmith.searches.expected_cost import LinearSizes

X = torch.zeros(1, 2, 6, 6)


def plain() -> nn.Sequential:
    convolutions = [nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1)]
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16, 3))


def uneven(sizes, seed=0):
    noise = torch.Generator().manual_seed(seed)
    return [torch.randn(len(one), generator=noise, dtype=torch.float64).softmax(0) for one in sizes]


@pytest.mark.parametrize("kind", ["macs", "params", "bytes"])
def test_expectation_is_the_sum_over_all_networks(kind):
    net = plain()
    graph = ns.trace(net, X)
    sizes = Sizes({group.name: tuple(range(1, group.size + 1)) for group in graph.groups})
    expected = ExpectedCost(graph, sizes, [kind])
    probabilities = uneven(sizes.widths.values())
    total = 0.0
    for places in product(*(range(len(one)) for one in sizes.widths.values())):
        probability = float(torch.stack([p[i] for p, i in zip(probabilities, places, strict=True)]).prod())
        total += probability * expected.of(places)[kind]
    assert float(expected(probabilities)[kind]) == pytest.approx(total, rel=1e-9)


def test_one_choice_costs_what_the_cut_network_costs():
    net = plain()
    graph = ns.trace(net, X)
    sizes = Sizes({group.name: (2, group.size) for group in graph.groups})
    expected = ExpectedCost(graph, sizes, ["macs", "params", "bytes"])
    for places in product(range(2), repeat=3):
        keep = {
            name: torch.arange(graph.group(name).size) < options[place]
            for (name, options), place in zip(sizes.widths.items(), places, strict=True)
        }
        assert expected.of(places) == ns.cost.Cost(graph).total(keep)


def test_a_group_that_an_operator_reads_and_makes_counts_with_its_second_moment():
    net = nn.Sequential(nn.Conv2d(2, 4, 1), ns.layers.Residual(nn.Conv2d(4, 4, 1)), nn.Conv2d(4, 1, 1))
    graph = ns.trace(net, X)
    (name,) = (group.name for group in graph.groups)
    expected = ExpectedCost(graph, Sizes({name: (1, 4)}), ["macs"])
    even = [torch.tensor([0.5, 0.5], dtype=torch.float64)]
    assert float(expected(even)["macs"]) == 36 * (2 * 2.5 + (1 + 16) / 2 + 2.5)


def test_gradient_is_that_of_difference_quotients():
    net = plain()
    graph = ns.trace(net, X)
    sizes = Sizes({group.name: (1, 2, group.size) for group in graph.groups})
    expected = ExpectedCost(graph, sizes, ["macs"])
    logits = [torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in sizes.widths]

    def log_cost(*given):
        return expected([one.softmax(0) for one in given])["macs"].log()

    assert torch.autograd.gradcheck(log_cost, logits)


def test_blocks_count_with_the_probability_that_as_many_stay():
    net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 8, 8), width=0.25)
    x = torch.zeros(1, 3, 8, 8)
    stage = tuple(ns.graph.blocks(net, x)[:3])
    sizes = Sizes({}, [stage], [(1, 3)])
    expected = ExpectedCost(ns.trace(net, x), sizes, ["macs"])
    whole = ns.profile(net, x).total["macs"]
    value = float(expected([], [torch.tensor([0.3, 0.7])])["macs"])
    assert value == pytest.approx(whole - 0.3 * (stage[1].macs + stage[2].macs), rel=1e-6)


def test_sizes_that_are_products_of_two_widths_are_refused():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 3), nn.Linear(4, 5), nn.Linear(15, 2)

        def forward(self, x):
            return self.c((self.a(x).unsqueeze(-1) * self.b(x).unsqueeze(-2)).flatten(1))

    net = Outer()
    graph = ns.trace(net, torch.zeros(1, 4))
    names = [group.name for group in graph.groups]
    assert len(names) == 2
    with pytest.raises(EditError, match="two widths size one dimension together"):
        ExpectedCost(graph, Sizes(dict.fromkeys(names, (1, 3))), ["macs"])
    (dim,) = (dim for leaf, dim in graph.leaves() if leaf == ("c.weight", 1))
    assert LinearSizes(graph, names[:1])(dim) == {0: 5.0, None: 0.0}
