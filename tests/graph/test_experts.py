"""Experts are channels: the router's row and the stacked weights go, and the others share what is left."""

import copy

import pytest
import torch
from expert_networks import DENSE, FIXED, SPARSE, Listed, X
from torch import nn

import netsmith as ns
from netsmith.closeness import relative_difference
from netsmith.cutting.verify import masked_output
from netsmith.edits import remove
from netsmith.errors import EditError


def made(make):
    torch.manual_seed(0)
    return make().double().eval()


def expert_group(graph):
    return next(group for group in graph.groups if any(s.tensor == "up" and s.dim == 0 for s in group.slices))


def without(model, gone):
    """The oracle: the weights of some experts taken out by hand."""
    few = copy.deepcopy(model)
    stay = [i for i in range(model.experts) if i not in gone]
    few.experts = len(stay)
    for name in ("up", "down", "bias"):
        setattr(few, name, nn.Parameter(getattr(model, name)[stay]))
    few.router.weight = nn.Parameter(model.router.weight[stay])
    few.router.bias = nn.Parameter(model.router.bias[stay])
    return few


@pytest.mark.parametrize("name", {**DENSE, **SPARSE})
def test_experts_are_a_group_and_go_exactly(name):
    model = made({**DENSE, **SPARSE}[name])
    graph = ns.trace(model, X)
    group = expert_group(graph)
    owned = {(s.tensor, s.dim) for s in group.slices}
    assert group.size == 6
    assert {("up", 0), ("down", 0), ("router.weight", 0), ("router.bias", 0)} <= owned
    keep = {group.name: torch.tensor([True, False, True, True, False, True])}
    few, _ = remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(few(X), without(model, {1, 4})(X)) <= 1e-12
        assert relative_difference(masked_output(model, X, graph, keep), few(X)) <= 1e-12
    small = ns.shrink(model, X, ratio=0.5)
    assert small.up.shape[0] < 6


@pytest.mark.parametrize("name", SPARSE)
def test_as_many_stay_as_are_chosen(name):
    model = made(SPARSE[name])
    graph = ns.trace(model, X)
    group = expert_group(graph)
    with pytest.raises(EditError, match="of which the network chooses"):
        remove(model, graph, {group.name: torch.arange(6) == 0})
    chosen = 3 if name == "gathered" else 2
    assert ns.shrink(model, X, ratio=0.95, scope="local").up.shape[0] == chosen


@pytest.mark.parametrize("name", FIXED)
def test_experts_whose_numbers_are_used_stay(name):
    model = made(FIXED[name])
    graph = ns.trace(model, X)
    assert not any(s.tensor == "router.weight" and s.dim == 0 for g in graph.groups for s in g.slices)
    assert graph.frozen[("router.weight", 0)]
    ns.shrink(model, X, ratio=0.3)


def test_experts_in_a_list_stay_and_lose_their_hidden_units():
    model = made(Listed)
    graph = ns.trace(model, X)
    hidden = {f"parts.{i}.0.weight:0" for i in range(3)}
    assert {group.name for group in graph.groups} == {"parts.0.2.weight:0", *hidden}
    assert "position" in graph.frozen[("router.weight", 0)]
    ns.shrink(model, X, ratio=0.5)


class Attention(nn.Module):
    """Softmax over positions, learnt ones among them, and over the parts of a head."""

    def __init__(self, parts=False):
        super().__init__()
        self.parts = parts
        self.extra = nn.Parameter(torch.randn(1, 3, 4))
        self.qkv, self.out = nn.Linear(4, 24), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.cat([self.extra.expand(x.shape[0], -1, -1), x], 1)
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        if self.parts:
            mixed = q.softmax(-1) @ (k.softmax(-2).transpose(-1, -2) @ v)
        else:
            mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2)).mean(1)


@pytest.mark.parametrize("parts", [False, True])
def test_positions_and_parts_of_heads_stay(parts):
    graph = ns.trace(made(lambda: Attention(parts)), X)
    owned = {(s.tensor, s.dim) for group in graph.groups for s in group.slices}
    assert ("extra", 1) not in owned
    assert not any(
        "softmax" in reason and tensor == "qkv.weight" for (tensor, _), reason in graph.frozen.items()
    )


def test_class_probabilities_stay():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Softmax(-1)).double()
    graph = ns.trace(model, X)
    assert [group.name for group in graph.groups] == ["0.weight:0"]
