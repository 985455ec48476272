from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from netsmith.searches import interpolate_channels
from netsmith.searches.width_mixing import Mixer, Norms, Piece, WidthChoice


def mixed_by_hand(x, widths, weights):
    """Of maps whose channels are the first dimension but one of [n, channels, repeats, ...]."""
    widest = max(widths)
    made = [
        weight * interpolate_channels(x[:, :w], widest) for w, weight in zip(widths, weights, strict=True)
    ]
    missing = x.shape[1] - widest
    return torch.cat([sum(made), torch.zeros(x.shape[0], missing, *x.shape[2:])], dim=1)


@pytest.mark.parametrize("dim", [1, -1])
def test_entries_of_a_channel_that_lie_apart_are_mixed_each_for_itself(dim):
    choice = WidthChoice([1, 3, 4])
    # Four channels of two entries each, as in a convolution of two groups; and one entry that is nobody's.
    index = torch.tensor([[0, 4], [1, 5], [2, 6], [3, 7]])
    mixer = Mixer([Piece(choice, index)], dim, 9)
    x = torch.randn(2, 9, 5)
    choice.set([2, 0], torch.tensor([0.25, 0.75]))
    expected = x.clone()
    expected[:, index] = mixed_by_hand(x[:, index], [4, 1], [0.25, 0.75])
    got = mixer(x if dim == 1 else x.movedim(1, -1))
    torch.testing.assert_close(got if dim == 1 else got.movedim(-1, 1), expected)


def test_two_groups_in_one_map_choose_for_themselves():
    first, second = WidthChoice([2, 3]), WidthChoice([1, 2])
    mixer = Mixer(
        [Piece(first, torch.tensor([[4], [0], [2]])), Piece(second, torch.tensor([[1], [3]]))], 1, 5
    )
    x = torch.randn(2, 5, 3, 3)
    first.set([0])
    second.set([0])
    expected = torch.zeros_like(x)
    expected[:, [4, 0, 1]] = x[:, [4, 0, 1]]
    assert torch.equal(mixer(x), expected)


def test_norms_of_each_width_start_from_that_of_the_whole():
    norm = nn.BatchNorm2d(5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.running_mean)
    choice = WidthChoice([2, 4])
    norms = Norms(norm, Mixer([Piece(choice, torch.tensor([[3], [1], [0], [4]]))], 1, 5)).eval()
    x = torch.randn(2, 5, 3, 3)
    whole = norm.eval()(x)
    choice.set([1])
    torch.testing.assert_close(norms(x), whole)
    choice.set([0])
    expected = torch.zeros_like(x)
    expected[:, [3, 1, 2]] = whole[:, [3, 1, 2]]
    torch.testing.assert_close(norms(x), expected)
    assert norm.weight.shape == (5,)


def test_a_choice_that_let_go_of_its_graph_can_be_copied():
    choice = WidthChoice([1, 2])
    choice.set([0, 1], torch.zeros(2, requires_grad=True).softmax(0))
    x = torch.randn(1, 2, 3)
    before = choice.mix([x[:, :1], x], 1, 1)
    choice.release()
    torch.testing.assert_close(copy.deepcopy(choice).mix([x[:, :1], x], 1, 1), before)
