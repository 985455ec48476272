from __future__ import annotations

import pytest
import torch
from search_models import PreActivation, X, residual
from torch import nn

import netsmith as ns
from netsmith.graph.recording import flow_of
from netsmith.searches.stages import DepthChoice, depths_of, stages_of


def test_stages_are_chains_of_blocks_that_feed_each_other():
    model = residual()
    names = [[block.name for block in stage] for stage in stages_of(model, X, flow_of(model, X))]
    assert names == [
        ["stage1.0", "stage1.1", "stage1.2"],
        ["stage2.1", "stage2.2"],
        ["stage3.1", "stage3.2"],
    ]
    block = ns.layers.Residual(nn.Conv2d(3, 3, 1))
    other = ns.layers.Residual(nn.Conv2d(3, 3, 1))
    apart = nn.Sequential(block, nn.Tanh(), other)
    assert [len(stage) for stage in stages_of(apart, X, flow_of(apart, X))] == [1, 1]


@pytest.mark.parametrize("count", range(1, 10))
def test_depths_with_the_block_that_must_stay_are_those_of_the_paper(count):
    odd = tuple(range(1, count + 2, 2)) if count % 2 == 0 else tuple(range(1, count + 1, 2))
    opening = 1 if count % 2 == 0 else 0
    assert tuple(depth + opening for depth in depths_of(count)) == odd


def test_output_of_a_stage_is_the_weighted_sum_over_depths():
    model = PreActivation().eval()
    (stage,) = stages_of(model, X, flow_of(model, X))
    choice = DepthChoice(stage, (0, 1, 2))
    choice.install(model)
    after = [model.stem(X)]
    for block in model.blocks:
        after.append(block(after[-1]))
    for place in range(3):
        choice.set(place)
        assert torch.equal(model.blocks(after[0]), after[place])
    choice.set(torch.tensor([0.2, 0.5, 0.3]))
    torch.testing.assert_close(model.blocks(after[0]), 0.2 * after[0] + 0.5 * after[1] + 0.3 * after[2])
