"""What the structure graph says of small networks, by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import netsmith as ns
from netsmith.errors import EditError, TraceError


def sizes(graph):
    return {group.name: group.size for group in graph.groups}


def test_residual_add_couples_both_branches():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            return self.c(self.a(x) + self.b(x))

    graph = ns.trace(Net(), torch.zeros(1, 3, 4, 4))
    (group,) = graph.groups
    owned = {(s.tensor, s.dim, s.role) for s in group.slices}
    assert owned == {
        ("a.weight", 0, "out"),
        ("a.bias", 0, "out"),
        ("b.weight", 0, "out"),
        ("b.bias", 0, "out"),
        ("c.weight", 1, "in"),
    }


def test_flatten_gives_each_channel_its_pixels():
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(4 * 9, 2))
    (group,) = ns.trace(model, torch.zeros(1, 1, 3, 3)).groups
    linear = next(s for s in group.slices if s.tensor == "2.weight")
    assert linear.index.tolist() == [list(range(9 * c, 9 * c + 9)) for c in range(4)]


def test_concat_keeps_branches_apart():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1), nn.Conv2d(10, 2, 1)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    graph = ns.trace(Net(), torch.zeros(1, 3, 4, 4))
    assert sizes(graph) == {"a.weight:0": 4, "b.weight:0": 6}
    readers = {
        g.name: next(s for s in g.slices if s.tensor == "c.weight").index[:, 0].tolist() for g in graph.groups
    }
    assert readers == {"a.weight:0": [0, 1, 2, 3], "b.weight:0": [4, 5, 6, 7, 8, 9]}


def test_grouped_convolution_factors_into_groups_and_width():
    model = nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, 8, 1, groups=4), nn.Conv2d(8, 2, 1))
    graph = ns.trace(model, torch.zeros(1, 3, 4, 4))
    assert sorted(group.size for group in graph.groups) == [2, 3, 4]
    groups = next(group for group in graph.groups if group.size == 4)
    scores = {g.name: torch.arange(g.size) for g in graph.groups}
    others = [g.name for g in graph.groups if g is not groups]
    small = ns.shrink(model, torch.zeros(1, 3, 4, 4), score=scores, ratio=0.5, scope="local", protect=others)
    assert (small[1].groups, small[1].in_channels, small[1].out_channels) == (2, 6, 4)


def test_depthwise_follows_its_input():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 2, 1))
    small = ns.shrink(model, torch.zeros(1, 3, 5, 5), ratio=0.5)
    assert small[1].groups == small[1].in_channels == small[1].out_channels == 3


class Shuffled(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = 2
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.first(x)
        b, c, h, w = x.shape
        x = x.view(b, self.parts, c // self.parts, h, w).transpose(1, 2).reshape(b, c, h, w)
        return self.last(x)


def test_attribute_that_sizes_a_view_is_mended_with_proof():
    model = Shuffled().double()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    graph = ns.trace(model, x)
    parts = next(group for group in graph.groups if group.size == 2)
    keep = {parts.name: torch.tensor([False, True])}
    small, records = ns.edits.remove(model, graph, keep)
    assert small.parts == 1
    assert records[0]["attributes"][""] == {"parts": 1}
    assert model.parts == 2
    assert type(model.parts) is int
    assert small(x).shape == (2, 2, 4, 4)


def test_size_written_in_the_code_is_frozen():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Linear(8 * 16, 2)

        def forward(self, x):
            return self.b(self.a(x).view(-1, 8 * 16))

    graph = ns.trace(Net(), torch.zeros(1, 3, 4, 4))
    assert not graph.groups
    assert graph.frozen["a.weight", 0] == "its size is written in the code"
    with pytest.raises(EditError, match=r"nothing to remove.*written in the code"):
        ns.shrink(Net(), torch.zeros(1, 3, 4, 4), ratio=0.5)


def test_chunk_ties_the_halves():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, x):
            left, right = self.a(x).chunk(2, -1)
            return self.b(left) + self.c(right)

    (group,) = ns.trace(Net(), torch.zeros(1, 3)).groups
    first = next(s for s in group.slices if s.tensor == "a.weight")
    assert first.index.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_operator_without_a_rule_freezes_what_it_touches():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

        def forward(self, x):
            return self.c(
                F.relu(self.b(torch.linalg.matrix_exp(self.a(x).unsqueeze(-1) @ x.new_ones(4, 1, 6))[:, 0]))
            )

    graph = ns.trace(Net(), torch.zeros(4, 4))
    assert sizes(graph) == {"b.weight:0": 5}
    assert "no rule" in graph.frozen["a.weight", 0]


def test_tied_weights_are_cut_once():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 9, bias=False)
            self.b = nn.Linear(6, 9, bias=False)
            self.b.weight = self.a.weight
            self.last = nn.Linear(6, 2)

        def forward(self, x):
            x = F.linear(F.relu(self.a(x)), self.b.weight.t())
            return self.last(x)

    model = Net().double()
    x = torch.randn(3, 6, dtype=torch.float64)
    graph = ns.trace(model, x)
    assert sizes(graph) == {"a.weight:0": 9}
    assert graph.frozen["a.weight", 1] == "a dimension of the model's input"
    small = ns.shrink(model, x, ratio=0.5)
    assert small.a.weight is small.b.weight


@pytest.mark.parametrize("wrap", [weight_norm, spectral_norm], ids=["weight_norm", "spectral_norm"])
def test_parametrized_weights_are_traced_through(wrap):
    torch.manual_seed(0)
    model = nn.Sequential(wrap(nn.Conv2d(3, 8, 3)), nn.ReLU(), wrap(nn.Conv2d(8, 4, 3)), nn.Conv2d(4, 2, 1))
    model = model.double().eval()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    small = ns.shrink(model, x, ratio=0.5)  # verified against the masked original inside
    assert small[0].out_channels + small[2].out_channels == 6
    assert type(small[0]) is type(model[0])


def test_raw_parameters_and_functional_calls():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(8, 3, 1, 1))
            self.scale = nn.Parameter(torch.randn(8, 1, 1))
            self.v = nn.Parameter(torch.randn(8, 2))

        def forward(self, x):
            return (F.conv2d(x, self.w) * self.scale).mean((2, 3)) @ self.v

    (group,) = ns.trace(Net(), torch.zeros(1, 3, 4, 4)).groups
    assert {(s.tensor, s.dim) for s in group.slices} == {("w", 0), ("scale", 0), ("v", 0)}


def test_model_is_left_as_found():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(), nn.Conv2d(8, 2, 1))
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.random.get_rng_state()
    ns.trace(model, torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert [module.training for module in model.modules()] == modes
    assert not model._forward_hooks
    assert not torch.nn.modules.module._global_forward_hooks
    assert model[0].weight.grad is None
    torch.randn(2, 3, 8, 8, generator=torch.Generator().set_state(state))
    torch.random.set_rng_state(state)


def test_data_dependent_control_flow_runs_with_values():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.b(self.a(x)) if float(x.sum()) > 0 else x

    assert sizes(ns.trace(Net(), torch.ones(1, 4))) == {"a.weight:0": 8}


def test_meta_models_are_traced_without_memory():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 1 << 20), nn.ReLU(), nn.Linear(1 << 20, 4))
    assert sizes(ns.trace(model, torch.zeros(1, 4, device="meta"))) == {"0.weight:0": 1 << 20}


def test_branch_that_only_training_takes_is_seen():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.aux = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 3)

        def forward(self, x):
            h = self.a(x).relu()
            return (self.b(h), self.aux(h)) if self.training else self.b(h)

    model = Net()
    small = ns.shrink(model, torch.zeros(2, 4), ratio=0.5)
    assert small.aux.in_features == small.a.out_features == 4
    assert small.train()(torch.zeros(2, 4))[1].shape == (2, 3)


def test_inputs_as_tuple_and_as_keywords():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x, *, scale):
            return self.b(self.a(x) * scale)

    graph = ns.trace(Net(), {"x": torch.zeros(1, 4), "scale": torch.ones(1)})
    assert sizes(graph) == {"a.weight:0": 8}
    pair = nn.Bilinear(3, 4, 2)
    assert ns.trace(pair, (torch.zeros(1, 3), torch.zeros(1, 4))).groups == []


def test_inputs_that_do_not_fit_name_model_and_shape():
    with pytest.raises(TraceError, match=r"Linear does not run on these inputs \(tensor \(1, 5\)\)"):
        ns.trace(nn.Linear(4, 2), torch.zeros(1, 5))


def test_lazy_parameters_are_refused():
    with pytest.raises(TraceError, match=r"weight is not initialised yet"):
        ns.trace(nn.LazyLinear(4), torch.zeros(1, 5))


class SplitBySizes(nn.Module):
    def __init__(self, kept):
        super().__init__()
        self.first, self.last, self.half = nn.Linear(4, 8), nn.Linear(8, 2), 4
        self.sizes = [4, 4]
        self.kept = kept

    def forward(self, x):
        x = self.first(x)
        sizes = {"written": [4, 4], "one": [self.half, self.half], "list": self.sizes}[self.kept]
        left, right = torch.split(x, sizes, dim=-1)
        return self.last(torch.cat([right, left.sigmoid()], -1))


def test_split_sizes_written_in_the_code_are_frozen_and_in_attributes_mended():
    x = torch.zeros(2, 4)
    assert ("first.weight", 0) in ns.trace(SplitBySizes("written"), x).frozen
    small = ns.shrink(SplitBySizes("one"), x, ratio=0.5)
    assert (small.half, small.first.out_features) == (2, 4)
    model = SplitBySizes("list")
    small = ns.shrink(model, x, ratio=0.5)
    assert (sum(small.sizes), small.first.out_features) == (4, 4)
    assert model.sizes == [4, 4]
    assert ns.replay(SplitBySizes("list"), ns.records(small)).sizes == small.sizes


class Compared(nn.Module):
    """Layers for code that compares sizes."""

    def __init__(self, width):
        super().__init__()
        self.width = width
        self.first, self.second = nn.Linear(4, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 2)


def test_an_attribute_that_is_only_compared_is_mended():
    class Net(Compared):
        def forward(self, x):
            x = self.first(x)
            if x.shape[-1] != self.width:
                raise ValueError("width")
            return self.last(x)

    smaller = ns.shrink(Net(8), torch.randn(3, 4), ratio=0.5)
    assert smaller.width == 4
    assert smaller(torch.randn(3, 4)).shape == (3, 2)


def test_sizes_that_were_equal_stay_equal():
    class Net(Compared):
        def forward(self, x):
            x = self.first(x)
            y = self.second(x)
            same = y.shape == x.shape
            return self.last(torch.relu(y) if same else y)

    graph = ns.trace(Net(8), torch.randn(3, 4))
    (group,) = graph.groups
    assert {(s.tensor, s.dim) for s in group.slices} >= {("first.weight", 0), ("second.weight", 0)}


def test_a_size_compared_with_a_number_is_frozen():
    class Net(Compared):
        def forward(self, x):
            x = self.first(x)
            assert x.shape[1] == 8
            return self.last(x)

    graph = ns.trace(Net(8), torch.randn(3, 4))
    assert graph.groups == []
    assert graph.frozen["first.weight", 0] == "its size is written in the code"


def test_reason_is_handed_on_to_what_is_tied():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 12), nn.Linear(12, 2)

        def forward(self, x):
            return self.b(self.a(x).view(-1, 4, 3).softmax(-1).view(-1, 12))

    frozen = ns.trace(Net(), torch.zeros(2, 4)).frozen
    assert frozen["a.weight", 0] == frozen["b.weight", 1] == "its size is written in the code"
