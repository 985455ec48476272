"""Control flow over inputs and positions runs although the weights have no values."""

import torch
from torch import nn

import netsmith as ns


class Masked(nn.Module):
    """Asks the mask, a buffer and positions counted on the weights' device before it attends."""

    def __init__(self):
        super().__init__()
        self.table, self.first, self.head = nn.Embedding(20, 8), nn.Linear(8, 16), nn.Linear(16, 2)
        self.register_buffer("limit", torch.tensor(4))

    def forward(self, tokens, mask=None):
        x = self.table(tokens)
        places = torch.arange(x.shape[1], device=x.device)[None].expand(x.shape[0], -1)
        if (places[:, -1] > self.limit).all():
            places = places.clamp(max=int(self.limit))
        if mask is not None and not bool(mask.all()):
            x = x * mask.to(x.device)[..., None]
        x = self.first(x + places[..., None].to(x.dtype))
        return self.head(x.relu().sum(1))


def test_traced_on_meta_where_the_code_asks_for_values():
    with torch.device("meta"):
        model = Masked()
    model.limit = torch.tensor(4)
    tokens, mask = torch.randint(20, (2, 6)), torch.tensor([[1.0] * 6, [1.0, 1.0, 0, 0, 0, 0]])
    graph = ns.trace(model, (tokens, mask))
    assert [group.size for group in graph.groups] == [8, 16]
    names = [operation.name for operation in graph.operations]
    assert "clamp" in names
    assert names.count("mul") == 1
    whole = [operation.name for operation in ns.trace(model, (tokens, torch.ones(2, 6))).operations]
    assert "mul" not in whole


def test_the_same_graph_and_an_exact_cut_with_weights():
    model = Masked().eval()
    inputs = (torch.randint(20, (2, 6)), torch.tensor([[1.0] * 6, [1.0, 1.0, 0, 0, 0, 0]]))
    small = ns.shrink(model, inputs, ratio=0.5, scope="local")
    assert small.first.weight.shape == (8, 4)


class Noting(nn.Module):
    """Writes into its input, and into a table of positions what a weight makes of it."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        x.sub_(x.mean())
        seen = torch.arange(2.0 * 8).reshape(2, 8)
        seen[:, :] = self.first(x)
        return self.head(seen)


def test_inputs_and_what_weights_write_into():
    model, x = Noting().eval(), torch.randn(2, 4)
    before = x.clone()
    graph = ns.trace(model, x)
    assert torch.equal(x, before)
    assert ("first.weight", 0) in graph.frozen  # the table it is written into was counted


class CutByTensors(nn.Module):
    """Keeps as many places as the longest row has, and blanks some of them."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x, mask):
        longest = mask.sum(1).max()
        y = self.first(x)
        y = y[:, :longest] + y.narrow(1, 0, longest)
        y[(mask[:, :longest] == 0).nonzero(as_tuple=True)] = 0
        return self.head(y)


def test_slices_by_tensors_run_the_same_operators_with_and_without_weights():
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    small = ns.shrink(CutByTensors().eval(), (torch.randn(2, 5, 4), mask), ratio=0.5)
    assert small.first.weight.shape == (4, 4)
