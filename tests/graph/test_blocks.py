"""Residual blocks are found by what runs, and what is none is named with its reason."""

import pytest
import torch
from residual_networks import (
    IDS,
    NETWORKS,
    SQUARE,
    VECTOR,
    Branchless,
    Decoder,
    Doubled,
    PostNorm,
    Scaled,
    Windows,
)  # fmt: skip
from torch import nn

import netsmith as ns
from netsmith.errors import EditError


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_by_hand(name):
    make, inputs, expected = NETWORKS[name]
    model = make().double().eval()
    found = ns.graph.blocks(model, inputs)
    assert [block.name for block in found] == expected
    for block in found:
        own = model.get_submodule(block.name)
        assert block.parameters == sum(p.numel() for p in own.parameters())
        assert block.macs > 0


def test_a_stage_of_blocks_is_a_block_when_asked_for():
    make, inputs, _ = NETWORKS["resnet20"]
    model = make().double()
    assert ns.graph.block_at(model, inputs, "stage1").parameters > 0


class Chain(nn.Module):
    def __init__(self, block, more=lambda self, x, y: y):
        super().__init__()
        self.stem, self.block, self.more = nn.Linear(5, 5), block, more

    def forward(self, x):
        x = self.stem(x)
        return self.more(self, x, self.block(x))


def shared():
    model = Chain(Scaled(-torch.inf, torch.inf))
    model.stem.weight = model.block.body.weight
    return model


def hooked():
    model = Chain(Scaled(-torch.inf, torch.inf))
    model.block.body.register_forward_hook(lambda *_: None)
    return model


FREE = {"low": -torch.inf, "high": torch.inf}
WRONG = {
    "clamp-without-range": (lambda: Chain(Scaled()), "block", "not its input"),
    "clamp-too-narrow": (lambda: nn.Sequential(nn.ReLU(), Scaled(0.0, 6.0)), "1", "not its input"),
    "twice-its-input": (lambda: Chain(Doubled()), "block", "not its input"),
    "shared": (shared, "block", "shares a parameter with stem"),
    "hooked": (hooked, "block", "hooks"),
    "called-twice": (lambda: Chain(Scaled(**FREE), lambda s, x, y: s.block(y)), "block", "called 2 times"),
    "read-outside": (
        lambda: Chain(Scaled(**FREE), lambda s, x, y: y @ s.block.body.weight), "block", "read outside"
    ),
    "used-inside-out": (
        lambda: Chain(Scaled(**FREE), lambda s, x, y: y + s.block.body(x)), "block", "read outside"
    ),
    "no-such": (lambda: Chain(Scaled()), "nobody", "no such module"),
    "no-parameters": (lambda: nn.Sequential(nn.Linear(5, 5), nn.ReLU()), "1", "no parameters"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_block(name):
    make, path, reason = WRONG[name]
    model = make().double()
    assert path not in [block.name for block in ns.graph.blocks(model, VECTOR)]
    with pytest.raises(EditError, match=reason):
        ns.graph.block_at(model, VECTOR, path)


def test_an_outside_tensor_is_no_branch():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Branchless()

        def forward(self, x):
            return self.block(x, torch.tanh(x))

    with pytest.raises(EditError, match="not its input"):
        ns.graph.block_at(Sum().double(), VECTOR, "block")


def test_post_norm_is_refused():
    model = Decoder(PostNorm)
    assert ns.graph.blocks(model, IDS) == []
    with pytest.raises(EditError, match="not its input plus"):
        ns.edits.bypass(model, ["layers.1"], IDS)


def test_entries_that_do_not_come_back_are_seen():
    model = nn.Sequential(Windows(1, 2)).double()
    with pytest.raises(EditError, match="not its input"):
        ns.graph.block_at(model, SQUARE, "0")


def test_attention_weights_that_the_model_puts_out_keep_their_layer():
    model = Decoder(show=True)
    assert [block.name for block in ns.graph.blocks(model, IDS)] == ["layers.0", "layers.1"]


def test_a_cache_that_a_layer_fills_keeps_it():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Kept()

        def forward(self, x, cache=None):
            return self.block(x, cache)

    class Kept(Scaled):
        def forward(self, x, cache):
            y = self.body(x)
            if cache is not None:
                cache.layers.append({"keys": y})
            return x + y

    class Cache:
        def __init__(self):
            self.layers = []

    model = Cached().double()
    assert [block.name for block in ns.graph.blocks(model, VECTOR)] == ["block"]
    with pytest.raises(EditError, match="leaves tensors in an object"):
        ns.graph.block_at(model, (VECTOR, Cache()), "block")


def test_the_model_is_left_as_found():
    model = Decoder(PostNorm).train()
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    state = torch.get_rng_state()
    ns.graph.blocks(model, IDS)
    assert all(m.training for m in model.modules())
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    assert torch.equal(state, torch.get_rng_state())
