from __future__ import annotations

import pytest
import torch
from torch import Tensor

import netsmith as ns
from netsmith.errors import NetsmithError

KINDS = {"gcn": "nodes", "gin": "graphs"}


def build(name: str, **options):
    torch.manual_seed(0)
    return ns.zoo.build(name, classes=3, input_shape=(5,), kind=KINDS[name], **options).double().eval()


def graph() -> tuple[Tensor, Tensor, Tensor]:
    """Two graphs of 4 and 3 nodes as one: features, adjacency and edges."""
    adjacency = torch.zeros(7, 7, dtype=torch.float64)
    for here, there in ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6)):
        adjacency[here, there] = adjacency[there, here] = 1.0
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, adjacency, adjacency.nonzero().t().contiguous()


def test_gcn_is_its_formula_with_a_dense_adjacency() -> None:
    model, (x, adjacency, edges) = build("gcn", width=0.5), graph()
    with_loops = adjacency + torch.eye(7)
    scale = with_loops.sum(dim=1).rsqrt()
    spread = scale[:, None] * with_loops * scale
    first, second = model.layers
    hidden = (spread @ x @ first.lin.weight.t() + first.bias).relu()
    expected = spread @ hidden @ second.lin.weight.t() + second.bias
    torch.testing.assert_close(model(x, edges), expected)
    assert expected.shape == (7, 3)


def test_gin_is_its_formula_with_a_dense_adjacency() -> None:
    model, (x, adjacency, edges) = build("gin", width=0.25, layers=2), graph()
    batch = torch.tensor([0] * 4 + [1] * 3)
    member = torch.nn.functional.one_hot(batch).double().t()
    expected = model.votes[0](member @ x)
    for layer, norm, vote in zip(model.layers, model.norms, model.votes[1:], strict=True):
        x = norm(layer.nn(adjacency @ x + x)).relu()
        expected = expected + vote(member @ x)
    torch.testing.assert_close(model(graph()[0], edges, batch), expected)
    assert expected.shape == (2, 3)


def test_a_graph_s_logits_do_not_depend_on_its_neighbours_in_the_batch() -> None:
    model, (x, adjacency, edges) = build("gin", width=0.25), graph()
    together = model(x, edges, torch.tensor([0] * 4 + [1] * 3))
    alone = model(x[4:], adjacency[4:, 4:].nonzero().t(), torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("name", KINDS)
def test_widths_and_half_of_them(name: str) -> None:
    model, (x, _, edges) = build(name), graph()
    inputs = (x, edges) if name == "gcn" else (x, edges, torch.tensor([0] * 4 + [1] * 3))
    groups = ns.trace(model, inputs).groups
    assert [group.size for group in groups] == ([16] if name == "gcn" else [32] * 10)
    small = ns.shrink(model, inputs, budget=ns.Budget(macs=0.5))
    assert small(*inputs).shape == model(*inputs).shape


@pytest.mark.parametrize("name", KINDS)
def test_missing_library_is_one_clear_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsmith.optional.find_spec", lambda library: None)
    with pytest.raises(NetsmithError, match=f"model '{name}' needs torch_geometric, which is not installed"):
        build(name)
