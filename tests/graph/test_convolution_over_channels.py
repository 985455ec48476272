"""One kernel that slides over channels: what goes leaves its neighbours side by side."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove
from netsmith.errors import EditError

X = torch.randn(3, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Gated(nn.Module):
    """Channels times a sigmoid of a convolution over their means, written in one of several ways."""

    def __init__(self, gate, channels=8, kernel=3, **options):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, channels, 3), nn.Conv2d(channels, 3, 1)
        self.norm = nn.BatchNorm2d(channels)
        self.slide = nn.Conv1d(1, 1, kernel, bias=False, **{"padding": kernel // 2, **options})
        self.alone = nn.Parameter(torch.randn(kernel, channels))
        self.gate = gate

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        return self.last(x * self.gate(self, x).sigmoid())


def unsqueezed(self, x):
    return self.slide(x.mean((2, 3)).unsqueeze(1)).squeeze(1)[:, :, None, None]


def transposed(self, x):
    pooled = F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)
    return self.slide(pooled).transpose(-1, -2).unsqueeze(-1).expand_as(x)


def viewed(self, x):
    pooled = F.adaptive_avg_pool2d(x, 1).view(x.shape[0], 1, -1)
    return self.slide(pooled).view(x.shape[0], x.shape[1], 1, 1)


def as_image(self, x):
    return F.conv2d(x.mean((2, 3))[:, None, None], self.slide.weight[:, :, None], padding=(0, 1)).transpose(
        1, 3
    )


def patches(self, x):
    windows = F.unfold(x.mean((2, 3))[:, None, None], (1, len(self.alone)), padding=(0, len(self.alone) // 2))
    return (windows * self.alone).sum(1)[:, :, None, None]


FORMS = (unsqueezed, transposed, viewed, as_image, patches)


def made(gate, channels=8, kernel=3, **options):
    torch.manual_seed(0)
    model = Gated(gate, channels, kernel, **options).double().eval()
    model.norm.running_mean.normal_()
    return model


def by_hand(model, stay, x):
    """The oracle: every tensor cut by hand, and the gate a written-out sum over the neighbours left."""
    y = F.conv2d(x, model.first.weight[stay], model.first.bias[stay])
    norm = model.norm
    y = F.batch_norm(y, norm.running_mean[stay], norm.running_var[stay], norm.weight[stay], norm.bias[stay])
    y = y.relu()
    means, kernel = y.mean((2, 3)), len(model.alone)
    kernels = model.slide.weight[0, 0].expand(len(stay), -1)
    if model.gate is patches:
        kernels = model.alone[:, stay].T
    gate = torch.zeros_like(means)
    for channel in range(len(stay)):
        for position in range(kernel):
            neighbour = channel + position - kernel // 2
            if 0 <= neighbour < len(stay):
                gate[:, channel] += kernels[channel, position] * means[:, neighbour]
    return F.conv2d(y * gate.sigmoid()[:, :, None, None], model.last.weight[:, stay], model.last.bias)


def check(model, stay):
    graph = ns.trace(model, X)
    (group,) = graph.groups
    keep = {group.name: torch.zeros(group.size, dtype=torch.bool).index_fill(0, stay, True)}
    small, _ = remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(small(X), by_hand(model, stay, X)) <= 1e-12
        assert relative_difference(masked_output(model, X, graph, keep), small(X)) <= 1e-12


@pytest.mark.parametrize("gate", FORMS)
def test_the_kernel_slides_over_what_is_left(gate):
    check(made(gate), torch.tensor([0, 1, 4, 6, 7]))
    small = ns.shrink(made(gate), X, ratio=0.5)
    assert small.first.out_channels == 4
    assert small.slide.kernel_size == (3,)


@given(st.data())
def test_any_width_kernel_and_choice(data):
    channels, kernel = data.draw(st.integers(2, 9)), data.draw(st.sampled_from([3, 5, 7]))
    chosen = data.draw(st.sets(st.integers(0, channels - 1), min_size=1, max_size=channels))
    check(made(unsqueezed, channels, kernel), torch.tensor(sorted(chosen)))


def test_a_dilated_kernel_slides_in_the_same_steps():
    model = made(unsqueezed, kernel=3, padding=2, dilation=2)
    small = ns.shrink(model, X, ratio=0.5)
    assert small.first.out_channels == 4


class Standardised(nn.Module):
    """A gate over the channels of a convolution whose weight is computed from the parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 8, 3), nn.Conv2d(8, 3, 1)
        self.slide = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        raw = self.first.weight
        weight = F.batch_norm(raw.reshape(1, raw.shape[0], -1), None, None, training=True).reshape_as(raw)
        x = F.conv2d(x, weight, self.first.bias).relu()
        return self.last(x * unsqueezed(self, x).sigmoid())


def test_channels_of_a_computed_weight_go_too():
    torch.manual_seed(0)
    small = ns.shrink(Standardised().double().eval(), X, ratio=0.5)
    assert small.first.weight.shape[0] == 4


class TwoMeans(nn.Module):
    """Means and largest values side by side, mixed by one kernel."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 8, 3), nn.Conv2d(8, 3, 1)
        self.slide = nn.Conv1d(2, 1, 3, padding=1)

    def forward(self, x):
        x = self.first(x).relu()
        gate = self.slide(torch.stack([x.mean((2, 3)), x.amax((2, 3))], dim=1))
        return self.last(x * gate.sigmoid().transpose(1, 2).unsqueeze(-1))


def test_a_kernel_over_two_rows_of_channels_slides_as_well():
    torch.manual_seed(0)
    model = TwoMeans().double().eval()
    small = ns.shrink(model, X, ratio=0.5)
    stay = [i for i in range(8) if i not in next(iter(ns.records(small)[0]["groups"].values()))]
    by_slices = TwoMeans().double()
    by_slices.first.weight = nn.Parameter(model.first.weight[stay])
    by_slices.first.bias = nn.Parameter(model.first.bias[stay])
    by_slices.last.weight = nn.Parameter(model.last.weight[:, stay])
    by_slices.last.bias, by_slices.slide = model.last.bias, model.slide
    assert len(stay) == 4
    torch.testing.assert_close(small(X), by_slices(X))


class Decoded(nn.Module):
    """Features that are read as a signal by kernels of several channels."""

    def __init__(self):
        super().__init__()
        self.first, self.slide, self.last = nn.Linear(5, 8), nn.Conv1d(1, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.slide(self.first(x).unsqueeze(-2).flatten(0, 2)).mean(-1))


class Constant(nn.Module):
    """A learnt map, of which no weight makes the positions."""

    def __init__(self):
        super().__init__()
        self.map, self.slide, self.last = (
            nn.Parameter(torch.randn(1, 1, 8)),
            nn.Conv1d(1, 1, 3, padding=1),
            nn.Linear(5, 3),
        )

    def forward(self, x):
        return self.last(x) * self.slide(self.map).mean()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (made(unsqueezed, padding=1, padding_mode="circular"), "first.weight"),
        (made(lambda self, x: unsqueezed(self, x).mean(1, keepdim=True), padding=0), "first.weight"),
        (made(lambda self, x: unsqueezed(self, x).mean(1, keepdim=True), stride=2), "first.weight"),
        (Decoded().double(), "first.weight"),
        (Constant().double(), "map"),
    ],
    ids=["circular", "no padding", "stride", "several channels", "no weight"],
)
def test_other_windows_hold_what_they_slide_over(model, name):
    graph = ns.trace(model, X)
    assert not any(s.tensor == name and s.dim in (0, 2) for group in graph.groups for s in group.slices)


def test_copies_of_a_channel_would_be_seen():
    model = made(unsqueezed)
    graph = ns.trace(model, X)
    with pytest.raises(EditError, match="in slide, convolution there sees how many copies there are"):
        ns.edits.split(model, graph, {graph.groups[0].name: [2]})
