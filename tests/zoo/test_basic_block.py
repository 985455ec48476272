from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from netsmith.zoo.basic_block import BasicBlock, PadShortcut


@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 8), (4, 4), (3, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_pad_shortcut_is_slicing_and_zero_padding(in_channels: int, out_channels: int, stride: int) -> None:
    x = torch.randn(2, in_channels, 7, 6, generator=torch.Generator().manual_seed(0))
    missing = out_channels - in_channels
    pad = (0, 0, 0, 0, missing // 2, missing - missing // 2)
    expected = F.pad(x[:, :, ::stride, ::stride], pad)
    assert torch.equal(PadShortcut(in_channels, out_channels, stride)(x), expected)


def test_pad_shortcut_has_no_parameters_and_can_be_cut_on_either_side() -> None:
    shortcut = PadShortcut(2, 6, 1)
    assert list(shortcut.parameters()) == []
    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = shortcut(x)
    shortcut.selection = shortcut.selection[[0, 3, 5]][:, [1]]
    assert torch.equal(shortcut(x[:, [1]]), whole[:, [0, 3, 5]])


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_block_adds_its_shortcut(shortcut: str) -> None:
    torch.manual_seed(0)
    block = BasicBlock(4, 8, stride=2, shortcut=shortcut)
    x = torch.randn(2, 4, 6, 6)
    torch.nn.init.zeros_(block.norm2.weight)
    torch.testing.assert_close(block(x), F.relu(block.shortcut(x)))


def test_equal_shapes_add_the_input_itself() -> None:
    block = BasicBlock(4, 4)
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.nn.init.zeros_(block.norm2.weight)
    assert torch.equal(block(x), F.relu(x))
