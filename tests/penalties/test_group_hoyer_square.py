from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import NetsmithError
from netsmith.penalties import GroupHoyerSquare, GroupLasso, group_hoyer_square, hoyer_square


def group(name, size, *pieces):
    slices = tuple(SimpleNamespace(tensor=t, dim=d, index=torch.as_tensor(i)) for t, d, i in pieces)
    return SimpleNamespace(name=name, size=size, slices=slices)


def chain():
    """Two convolutions and a linear layer behind a flatten of 2x2 positions."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(20, 2)).double()
    first = group(
        "0.weight:0", 4, ("0.weight", 0, [[c] for c in range(4)]), ("1.weight", 1, [[c] for c in range(4)])
    )
    second = group(
        "1.weight:0",
        5,
        ("1.weight", 0, [[c] for c in range(5)]),
        ("1.bias", 0, [[c] for c in range(5)]),
        ("3.weight", 1, [[4 * c + k for k in range(4)] for c in range(5)]),
    )
    return model, SimpleNamespace(groups=[first, second], frozen={})


def paper(w: torch.Tensor) -> torch.Tensor:
    rows = w.transpose(0, 0).flatten(1).norm(dim=1).sum()
    columns = w.transpose(0, 1).flatten(1).norm(dim=1).sum()
    return (rows.square() + columns.square()) / w.square().sum()


def test_known_values_of_the_function():
    assert group_hoyer_square(torch.tensor([2.0, 2.0, 0.0])) == 2
    assert float(group_hoyer_square(torch.tensor([3.0, 4.0]))) == pytest.approx(49 / 25, rel=1e-6)
    assert group_hoyer_square(torch.zeros(3)) == 0


def test_singleton_groups_equal_the_element_wise_measure():
    model = nn.Linear(1, 30, bias=False).double()
    value = GroupHoyerSquare(strength=1.0, dims=("out",))(model)
    torch.testing.assert_close(value, hoyer_square(model.weight), rtol=1e-14, atol=0)


def test_without_a_graph_it_is_the_paper_s_sum_of_both_groupings():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)).double()
    expected = paper(model[0].weight) + paper(model[2].weight)
    torch.testing.assert_close(GroupHoyerSquare(strength=0.1)(model), 0.1 * expected, rtol=1e-13, atol=0)
    out = GroupHoyerSquare(strength=0.1, dims=("out",))(model)
    inner = GroupHoyerSquare(strength=0.1, dims=("in",))(model)
    torch.testing.assert_close(out + inner, 0.1 * expected, rtol=1e-13, atol=0)


def test_output_channels_of_a_transposed_convolution_lie_along_dimension_one():
    model = nn.ConvTranspose2d(3, 4, 3).double()
    norms = model.weight.transpose(0, 1).flatten(1).norm(dim=1)
    value = GroupHoyerSquare(strength=1.0, dims=("out",))(model)
    torch.testing.assert_close(value, group_hoyer_square(norms))


def test_with_a_graph_the_norm_is_over_all_a_channel_owns():
    model, graph = chain()
    first, second, last = model[0].weight, model[1].weight, model[3].weight
    coupled = [
        (first.square().sum((1, 2, 3)) + second.square().sum((0, 2, 3))).sqrt(),
        (second.square().sum((1, 2, 3)) + last.square().reshape(2, 5, 4).sum((0, 2))).sqrt(),
    ]
    value = GroupHoyerSquare(graph, strength=0.2)(model)
    torch.testing.assert_close(value, 0.2 * sum(map(group_hoyer_square, coupled)), rtol=1e-13, atol=0)
    torch.testing.assert_close(GroupLasso(graph, strength=0.2)(model), 0.2 * sum(n.sum() for n in coupled))


def test_channels_scattered_by_a_concat_are_found():
    model = nn.Linear(6, 2, bias=False).double()
    graph = SimpleNamespace(groups=[group("a", 2, ("weight", 1, [[5, 0], [1, 4]]))], frozen={})
    w = model.weight.square().sum(0)
    norms = torch.stack([w[5] + w[0], w[1] + w[4]]).sqrt()
    torch.testing.assert_close(GroupHoyerSquare(graph, strength=1.0)(model), group_hoyer_square(norms))


class Branches(nn.Module):
    """A residual add of two convolutions, a concat with its input's channels, a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.branch = nn.Conv2d(4, 4, 1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.stem(x)
        both = torch.cat([stem + 1, torch.relu(stem + self.branch(stem))], dim=1)
        return self.head(self.depthwise(both).mean((2, 3)))


def test_with_a_traced_graph_equals_the_sum_over_what_each_channel_owns():
    model = Branches().double()
    graph = ns.trace(model, torch.zeros(2, 1, 6, 6, dtype=torch.float64))
    expected = 0
    for group in graph.groups:
        norms = []
        for channel in range(group.size):
            own = [
                dict(model.named_parameters())[s.tensor].index_select(s.dim, s.index[channel]).square().sum()
                for s in group.slices
                if dict(model.named_parameters())[s.tensor].dim() >= 2
            ]
            norms.append(sum(own).sqrt())
        expected = expected + group_hoyer_square(torch.stack(norms))
    value = GroupHoyerSquare(graph, strength=1.0)(model)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    value.backward()
    assert all(p.grad.any() for p in model.parameters() if p.dim() >= 2)


@pytest.mark.parametrize("scale", [1e-3, -1e3])
def test_does_not_change_with_scale(scale):
    model, graph = chain()
    for penalty in (GroupHoyerSquare(graph, strength=1.0), GroupHoyerSquare(strength=1.0)):
        before = penalty(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        torch.testing.assert_close(penalty(model), before, rtol=1e-12, atol=0)


def test_descent_leaves_fewer_live_channels_and_lasso_shrinks_them_alike():
    model, graph = chain()
    penalty = GroupHoyerSquare(graph, strength=1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = float(penalty(model).detach())
    for _ in range(500):
        optimizer.zero_grad()
        penalty(model).backward()
        optimizer.step()
    norms, number, _ = penalty.norms(model)
    largest = torch.stack([norms[number == i].max() for i in range(2)])[number]
    assert before > 8
    assert int((norms > 0.1 * largest).sum()) <= 4

    model, graph = chain()
    norms, _, _ = penalty.norms(model)
    GroupLasso(graph, strength=1.0)(model).backward()
    step = 1e-7
    with torch.no_grad():
        model[0].weight -= step * model[0].weight.grad
    row = model[0].weight.grad.flatten(1)
    direction = model[0].weight.flatten(1)
    cosine = nn.functional.cosine_similarity(row, direction)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_model_that_changed_shape_is_refused():
    model, graph = chain()
    penalty = GroupHoyerSquare(graph, strength=1.0)
    penalty(model)
    model[3] = nn.Linear(20, 3)
    with pytest.raises(NetsmithError, match=r"not the one the graph was traced on: .*; trace it again"):
        penalty(model)
    with pytest.raises(NetsmithError, match=r"it has no tensor '0\.weight'"):
        GroupHoyerSquare(graph, strength=1.0)(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    with pytest.raises(NetsmithError, match=r"has only 2 entries along dimension 0"):
        GroupHoyerSquare(graph, strength=1.0)(nn.Sequential(nn.Conv2d(3, 2, 3), *list(model)[1:]))


def test_without_a_graph_a_changed_shape_is_simply_measured():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    penalty = GroupHoyerSquare(strength=1.0)
    penalty(model)
    model[1] = nn.Linear(3, 5)
    torch.testing.assert_close(penalty(model), GroupHoyerSquare(strength=1.0)(model))


def test_vectors_have_no_rows_and_columns():
    with pytest.raises(
        NetsmithError, match=r"'bias' has shape \(3,\); a group penalty needs rows and columns"
    ):
        GroupHoyerSquare(strength=1.0, select=lambda name, tensor: True)(nn.Linear(4, 3))


@pytest.mark.parametrize("dims", [(), ("rows",), ("out", "across")])
def test_dims_are_out_and_in(dims):
    with pytest.raises(NetsmithError, match=r"expected one or both of \('out', 'in'\)"):
        GroupHoyerSquare(strength=1.0, dims=dims)


def test_dims_beside_a_graph_are_refused():
    _, graph = chain()
    with pytest.raises(NetsmithError, match="leave one of them out"):
        GroupHoyerSquare(graph, strength=1.0, dims=("out",))


def test_a_graph_that_owns_no_selected_weight_is_said():
    graph = SimpleNamespace(groups=[group("a", 3, ("bias", 0, [[0], [1], [2]]))], frozen={})
    with pytest.raises(NetsmithError, match=r"no group of the graph owns a selected weight of Linear"):
        GroupHoyerSquare(graph, strength=1.0)(nn.Linear(4, 3))
