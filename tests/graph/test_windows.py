"""Windows and patches: what slides stays, what only changes places with channels does not hold them."""

import pytest
import torch
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.cost.counting import Cost
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove


class Folded(nn.Module):
    """Patches go into the batch, merged with channels on the way there and back."""

    def __init__(self):
        super().__init__()
        self.stem, self.mix, self.out = nn.Conv2d(3, 6, 1), nn.Linear(6, 6), nn.Conv2d(6, 2, 1)
        self.patch, self.area = (2, 4), 8

    def forward(self, x):
        x = self.stem(x)
        (b, c, h, w), (p, q) = x.shape, self.patch
        rows, columns = h // p, w // q
        x = x.reshape(b * c * rows, p, columns, q).transpose(1, 2).reshape(b, c, rows * columns, self.area)
        x = x.transpose(1, 3).reshape(b * self.area, rows * columns, -1)
        x = x + self.mix(x).relu()
        x = x.view(b, self.area, rows * columns, -1).transpose(1, 3).reshape(b * c * rows, columns, p, q)
        return self.out(x.transpose(1, 2).reshape(b, c, rows * p, columns * q))


class Halo(nn.Module):
    """Overlapping windows cut by ``Tensor.unfold``, each attended to within itself."""

    def __init__(self):
        super().__init__()
        self.stem, self.key, self.out = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = self.stem(x).relu()
        windows = self.key(x).unfold(2, 4, 2).unfold(3, 4, 2)
        b, c = windows.shape[:2]
        keys = windows.reshape(b, c, -1, 16).permute(0, 2, 3, 1)
        weights = (keys @ keys.mT).softmax(-1).mean(dim=(1, 2, 3))
        return self.out(x) * weights[:, None, None, None]


class AcrossTensors(nn.Module):
    """A convolution whose window is one index mixes a stack of tensors; their width is its space."""

    def __init__(self):
        super().__init__()
        self.stems = nn.ModuleList(nn.Linear(5, 8) for _ in range(3))
        self.mix, self.out = nn.Conv1d(3, 1, 1), nn.Linear(8, 2)

    def forward(self, x):
        x = torch.stack([stem(x) for stem in self.stems], dim=1)
        return self.out(self.mix(x).squeeze(1).relu())


NETWORKS = {
    "folded": (Folded, (2, 3, 4, 8), [6]),
    "halo": (Halo, (2, 3, 8, 8), [4, 6]),
    "across": (AcrossTensors, (2, 5), [8]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_are_found_and_cuts_are_exact(name):
    torch.manual_seed(0)
    constructor, shape, sizes = NETWORKS[name]
    model, x = constructor().double().eval(), torch.randn(shape, dtype=torch.float64)
    graph = ns.trace(model, x)
    assert sorted(group.size for group in graph.groups) == sizes
    for seed in range(3):
        keep = random_keep(graph, seed)
        small, _ = remove(model, graph, keep)
        with torch.no_grad():
            assert relative_difference(small(x), masked_output(model, x, graph, keep)) <= 1e-10


def test_space_that_can_shrink_counts_in_the_macs():
    graph = ns.trace(AcrossTensors(), torch.zeros(1, 5))
    linear, mix, out = 3 * 5 * 8, 3 * 8, 8 * 2
    assert Cost(graph).total()["macs"] == linear + mix + out
    keep = {graph.groups[0].name: torch.arange(8) < 2}
    assert Cost(graph).total(keep)["macs"] == (linear + mix + out) / 4


@pytest.mark.parametrize(
    "options", [{"kernel_size": 3}, {"kernel_size": 1, "stride": 2}, {"kernel_size": 1, "padding": 1}]
)
def test_space_that_a_window_slides_over_stays(options):
    model = nn.Sequential(nn.Linear(5, 9), nn.Conv1d(3, 2, **options))
    assert not any(
        "0.weight" in s.tensor for g in ns.trace(model, torch.zeros(1, 3, 5)).groups for s in g.slices
    )
