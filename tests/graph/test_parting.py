"""Slices and splits: pieces follow the sizes the code computed, and stay where it wrote a number."""

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove


class Parted(nn.Module):
    """A linear layer whose output is taken apart by ``part(model, x)`` and put to use piece by piece."""

    def __init__(self, part, widths=(6, 6)):
        super().__init__()
        self.part, self.first_width, self.widths = part, widths[0], list(widths)
        self.fixed = tuple(widths)
        self.first = nn.Linear(5, sum(widths))
        self.heads = nn.ModuleList(nn.Linear(width, 3) for width in widths)

    def forward(self, x):
        parts = self.part(self, self.first(x).tanh())
        return sum(head(part) for head, part in zip(self.heads, parts, strict=True))


CASES = {
    "half of its width": (lambda m, x: (x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]), (6, 6), [6]),
    "attribute": (lambda m, x: (x[:, : m.first_width], x[..., m.first_width :]), (6, 4), [6, 4]),
    "from the end": (lambda m, x: (x[:, : -m.widths[1]], x[:, -m.widths[1] :]), (6, 4), [6, 4]),
    "narrow": (
        lambda m, x: (x.narrow(1, 0, m.fixed[0]), torch.narrow(x, -1, *m.fixed)), (6, 4), [6, 4],
    ),
    "split by a list": (lambda m, x: x.split(m.widths, dim=-1), (6, 4), [6, 4]),
    "split by a tuple": (lambda m, x: torch.split(x, m.fixed, -1), (4, 4), [4, 4]),
    "split by one size": (lambda m, x: x.split(x.shape[-1] // 3, -1), (4, 4, 4), [4]),
    "three of one attribute": (lambda m, x: x.split([m.first_width] * 3, -1), (4, 4, 4), [4]),
    "every second": (lambda m, x: (x[:, ::2], x[:, 1::2]), (6, 6), [6]),
    "new dimensions": (
        lambda m, x: (x[None, :, : m.first_width][0], x[0:2, m.first_width :, None][..., 0]), (6, 4), [6, 4],
    ),
    "written at the front": (lambda m, x: (x[:, :6], x[:, 6:]), (6, 4), [4]),
    "written at the end": (lambda m, x: (x[:, :-4], x[:, -4:]), (6, 4), [6]),
    "written sizes": (lambda m, x: x.split([6, 4], -1), (6, 4), []),
    "every third": (lambda m, x: (x[:, ::3],), (4,), []),
}  # fmt: skip


def make(name):
    torch.manual_seed(0)
    part, widths, sizes = CASES[name]
    return Parted(part, widths).double().eval(), torch.randn(2, 5, dtype=torch.float64), sizes


@pytest.mark.parametrize("name", [name for name in CASES if name != "every third"])
def test_pieces_are_groups_and_cuts_are_exact(name):
    model, x, sizes = make(name)
    graph = ns.trace(model, x)
    assert sorted(size for g in graph.groups for size in _pieces(g, model)) == sorted(sizes)
    for seed in range(3):
        keep = random_keep(graph, seed)
        expected = masked_output(model, x, graph, keep)
        small, records = remove(model, graph, keep)
        with torch.no_grad():
            assert relative_difference(small(x), expected) <= 1e-10
        assert type(small.widths) is list
        assert type(small.fixed) is tuple
        with torch.no_grad():
            assert relative_difference(ns.replay(make(name)[0], records)(x), expected) <= 1e-10


def _pieces(group, model):
    """Return how many channels of a group each reader reads."""
    return [s.index.shape[0] for s in group.slices if s.tensor.startswith("heads") and s.dim == 1][:1]


def test_a_step_that_does_not_divide_the_width_stays():
    class EveryThird(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(5, 10), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.first(x)[:, ::3])

    assert not ns.trace(EveryThird(), torch.randn(2, 5)).groups


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_a_normalised_shape_kept_by_a_users_module_is_mended(kind):
    class Norm(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.shape, self.weight = (width,), nn.Parameter(torch.rand(width))

        def forward(self, x):
            norm = F.layer_norm if kind == "layer" else F.rms_norm
            return norm(x, self.shape, self.weight)

    model = nn.Sequential(nn.Linear(5, 8), Norm(8), nn.Linear(8, 3))
    small = ns.shrink(model, torch.randn(2, 5), ratio=0.5)
    assert small[1].shape == (4,)
    small(torch.randn(2, 5))


def test_a_normalised_shape_written_in_the_code_stays():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.head = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(F.layer_norm(self.second(F.rms_norm(self.first(x), [8])), (8,)))

    assert not ns.trace(Written(), torch.randn(2, 5)).groups
