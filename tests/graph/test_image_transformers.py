"""Attention as image models write it: head widths computed from the residual width, in many blocks."""

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove
from netsmith.graph import solve


class Attention(nn.Module):
    """``talking``: linear layers across heads; ``transposed``: the output lays head widths before heads."""

    def __init__(self, width=24, heads=4, *, fused=False, talking=False, transposed=False):
        super().__init__()
        self.num_heads, self.fused, self.transposed = heads, fused, transposed
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.before = nn.Linear(heads, heads) if talking else nn.Identity()
        self.after = nn.Linear(heads, heads) if talking else nn.Identity()
        self.out = nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, n, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            scores = self.before((q @ k.mT).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            y = self.after(scores.softmax(-1).permute(0, 2, 3, 1)).permute(0, 3, 1, 2) @ v
        y = y.permute(0, 2, 3, 1) if self.transposed else y.transpose(1, 2)
        return x + self.out(y.reshape(b, n, c))


class Network(nn.Module):
    def __init__(self, blocks, **options):
        super().__init__()
        self.embed, self.head = nn.Linear(6, 24), nn.Linear(24, 3)
        last = Attention(fused=True) if options.pop("mixed", False) else nn.Identity()
        self.blocks = nn.Sequential(*(Attention(**options) for _ in range(blocks)), last)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x)))


CASES = {
    "plain": (lambda: Network(3), [4, 6]),
    "talking heads": (lambda: Network(2, talking=True), [4, 4, 4, 6]),
    "fused, its scale follows from the head width": (lambda: Network(2, fused=True), [4]),
    "one of them fused": (lambda: Network(6, mixed=True), [4]),
    "head widths first": (lambda: Network(2, transposed=True), [4, 6]),
    "head widths first, fused": (lambda: Network(2, transposed=True, fused=True), [4]),
}


@pytest.mark.parametrize("name", CASES)
def test_heads_and_widths_are_found_and_cuts_are_exact(name):
    torch.manual_seed(0)
    constructor, sizes = CASES[name]
    model, x = constructor().double().eval(), torch.randn(2, 5, 6, dtype=torch.float64)
    graph = ns.trace(model, x)
    assert sorted(group.size for group in graph.groups) == sizes
    for seed in range(3):
        keep = random_keep(graph, seed)
        small, _ = remove(model, graph, keep)
        with torch.no_grad():
            assert relative_difference(small(x), masked_output(model, x, graph, keep)) <= 1e-10
        assert small.blocks[0].num_heads < 4 or small.embed.out_features < 24


def test_rounds_of_solving_do_not_grow_with_the_blocks(monkeypatch):
    rounds = []
    made = solve._Round.__init__
    monkeypatch.setattr(
        solve._Round, "__init__", lambda self, *args: (rounds.append(1), made(self, *args))[1]
    )

    def count(blocks):
        rounds.clear()
        ns.trace(Network(blocks, mixed=True), torch.randn(2, 5, 6))
        return len(rounds)

    assert count(12) == count(4)
