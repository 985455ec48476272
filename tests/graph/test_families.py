"""Recurrent, attention and graph networks: what is found, and that every cut is exact."""

import pytest
import torch
from small_networks import NETWORKS
from test_exactness import random_keep

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove

SIZES = {
    "rnn": [12],
    "lstm": [12],
    "lstm-deep-both-ways": [12],
    "gru": [12],
    "lstm-cell": [12],
    "gru-cell": [12],
    "attention": [16, 4, 4, 20],
    "attention-fused": [4, 20],
    "attention-grouped": [16, 4, 2, 2, 20],
    "encoder": [2, 3, 16],
    "tied-language-model": [12],
    "gcn": [12, 8],
    "sage": [12, 8],
    "gat": [4, 3, 8],
    "gatv2": [4, 3, 8],
    "gin": [10, 12, 10, 8],
    "edge": [10, 12, 10, 8],
}


def make(name):
    torch.manual_seed(0)
    constructor, inputs = NETWORKS[name]
    return constructor().double().eval(), inputs


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_are_found(name):
    model, inputs = make(name)
    assert sorted(group.size for group in ns.trace(model, inputs).groups) == sorted(SIZES[name])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_cut_equals_masked_original(name, seed):
    model, inputs = make(name)
    graph = ns.trace(model, inputs)
    keep = random_keep(graph, seed)
    expected = masked_output(model, inputs, graph, keep)
    small, records = remove(model, graph, keep)
    with torch.no_grad():
        got = small(*inputs) if isinstance(inputs, tuple) else small(inputs)
        assert relative_difference(got, expected) <= 1e-10
        again = ns.replay(make(name)[0], records)
        assert torch.equal(again(*inputs) if isinstance(inputs, tuple) else again(inputs), got)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_head_width_that_sets_the_scale_stays():
    """Attention divides by the root of the head width: cutting it would change what is left."""
    model, inputs = make("attention-fused")
    graph = ns.trace(model, inputs)
    assert {group.size for group in graph.groups} == {4, 20}


def test_sizes_of_recurrent_layers_are_mended():
    model, inputs = make("lstm-deep-both-ways")
    small = ns.shrink(model, inputs, ratio=0.5)
    assert small.layer.hidden_size == 6
    assert small.layer._flat_weights[0] is small.layer.weight_ih_l0
