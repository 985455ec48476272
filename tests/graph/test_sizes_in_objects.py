"""Sizes in a configuration that modules share: every module gets one of its own where they come to differ."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference

X = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))


class Settings:
    def __init__(self):
        self.heads, self.widths, self.inner = 4, [4, 6], Inner()


class Inner:
    def __init__(self):
        self.hidden = 12


class Block(nn.Module):
    """Attention whose heads stand in the shared settings, then a layer whose width stands deeper in them."""

    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.q, self.k, self.v, self.out = (nn.Linear(a, b) for a, b in ((6, 16), (6, 16), (6, 16), (16, 6)))
        self.inner, self.outer = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, x):
        shape = (*x.shape[:2], self.settings.heads, self.settings.widths[0])
        q, k, v = (f(x).view(shape).transpose(1, 2) for f in (self.q, self.k, self.v))
        mixed = (q @ k.mT).softmax(-1) @ v
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.outer(self.inner(x).view(*x.shape[:2], self.settings.inner.hidden).relu())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.settings = Settings()
        self.blocks = nn.Sequential(Block(self.settings), Block(self.settings))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.blocks(x)) * self.settings.heads**-0.5


def cut(model, keep_of):
    graph = ns.trace(model, X)
    keep = {g.name: torch.arange(g.size) < keep_of(g) for g in graph.groups}
    small, records = ns.edits.remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(small(X), masked_output(model, X, graph, keep)) <= 1e-5
    return small, records


def test_modules_that_lose_different_numbers_of_heads():
    model = Net().eval()
    before = copy.deepcopy(vars(model.settings))
    small, records = cut(model, lambda g: 1 if g.name.startswith("blocks.0") else 3)
    first, second = (block.settings for block in small.blocks)
    assert (first.heads, first.widths, first.inner.hidden) == (1, [1, 6], 1)
    assert (second.heads, second.widths, second.inner.hidden) == (3, [3, 6], 3)
    assert vars(small.settings)["heads"] == 4  # the model computes with it, and nothing it does so with went
    assert model.settings.heads == before["heads"] == 4
    assert model.blocks[0].settings is model.blocks[1].settings is model.settings
    again = ns.replay(model, records)
    with torch.no_grad():
        assert torch.equal(again(X), small(X))
    back = ns.edits.undo(small, model)
    with torch.no_grad():
        assert torch.equal(back(X), model(X))


class Speaking(nn.Module):
    """One module leaves a size in the shared object, the next one reads it."""

    def __init__(self, shared, speaks):
        super().__init__()
        self.shared, self.speaks, self.layer = shared, speaks, nn.Linear(6, 6)

    def forward(self, x):
        if self.speaks:
            self.shared.seen = x.shape[0]
        return self.layer(x) * self.shared.seen


def test_objects_that_modules_speak_through_are_left_alone():
    shared = Inner()
    shared.seen = 7
    model = nn.Sequential(Speaking(shared, True), Speaking(shared, False), nn.Linear(6, 2)).eval()
    cut(model, lambda g: 3)
    assert vars(shared).keys() == {"hidden", "seen"}


class Projecting(nn.Module):
    """Projects its input where two sizes differ; one of them is used for nothing else."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = 4, 8
        self.first, self.project, self.head = nn.Linear(6, 4), nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.first(x)
        if self.narrow != self.wide:
            x = self.project(x).view(*x.shape[:2], self.wide)
        return self.head(x)


@pytest.mark.parametrize("left", [2, 4])
def test_sizes_that_differ_go_on_to(left):
    small, _ = cut(Projecting().eval(), lambda g: left)
    assert small.wide == left
    assert small.narrow != left


class Unweighted(nn.Module):
    """A root mean square norm without weights has only its attribute to know its width from."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 2)
        self.norm = nn.RMSNorm(8, elementwise_affine=False)

    def forward(self, x):
        return self.head(self.norm(self.first(x)))


def test_width_of_a_norm_without_weights():
    small, _ = cut(Unweighted().eval(), lambda g: 4)
    assert small.norm.normalized_shape == (4,)


class Asserting(nn.Module):
    """Attention by PyTorch's function, which asserts that its heads fill its input."""

    def __init__(self):
        super().__init__()
        self.heads, self.width = 2, 8
        self.first, self.head, self.wide = nn.Linear(6, 8), nn.Linear(8, 2), nn.Linear(8, 12)
        self.fused, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.narrow = nn.Linear(12, 8)

    def forward(self, x):
        x = self.first(x).transpose(0, 1)
        mixed, _ = nn.functional.multi_head_attention_forward(
            x, x, x, self.width, self.heads, self.fused.weight, self.fused.bias, None, None, False, 0.0,
            self.out.weight, self.out.bias, need_weights=False,
        )  # fmt: skip
        return self.head(self.narrow(self.wide(mixed).relu()).transpose(0, 1))


def test_function_that_asserts_its_widths():
    assert sorted(g.size for g in ns.trace(Asserting().eval(), X).groups) == [8, 12]
    cut(Asserting().eval(), lambda g: 4)
